"""The controllers of the multipliers by the names that `fgrpo.dual.controller` gives them."""

from __future__ import annotations

from collections.abc import Callable

from easyr1_fgrpo.algorithm import (
    PID,
    Constraint,
    DualAscent,
    FixedMultipliers,
    Multiplicative,
    MultiplierController,
    NuPI,
)
from easyr1_fgrpo.config.schema import FgrpoConfig

ADAPTIVE: dict[str, Callable[..., MultiplierController]] = {
    "dual_ascent": DualAscent,
    "pid": PID,
    "nupi": NuPI,
    "multiplicative": Multiplicative,
}


def build_controller(settings: FgrpoConfig) -> MultiplierController:
    """The multipliers' controller that the config asks for; its thresholds are as the judges measure them."""
    asked = {key: settings.constraints[key] for key in settings.constraint_keys}
    constraints = [Constraint(key, one.measured_threshold, one.initial_multiplier) for key, one in asked.items()]
    if settings.dual.controller == "fixed":
        return FixedMultipliers(constraints)
    return ADAPTIVE[settings.dual.controller](
        constraints,
        lr=settings.dual.lr,
        max_multiplier=settings.dual.lambda_max,
        min_applicable=settings.dual.min_applicable,
        **settings.dual.controller_options,
    )
