"""Reading a controller's saved state: whole, of the same controller and constraints, or refused."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

Memory = dict[str, float | None]
"""What a controller remembers of one constraint besides its multiplier; None before the first update."""


def check_controller(state: Mapping[str, Any], expected: str) -> None:
    """Raises a ValueError when the state is another controller's."""
    if state.get("controller") != expected:
        raise ValueError(
            f"the saved state is that of controller {state.get('controller')!r}, this one is {expected!r}; "
            "resume with the controller of the run, or start a new run"
        )


def saved_multipliers(state: Mapping[str, Any], names: Iterable[str]) -> dict[str, float]:
    """The saved multipliers of exactly the constraints `names`; a ValueError unless finite and at least 0."""
    multipliers = {name: float(value) for name, value in per_constraint(state, "multipliers", names).items()}
    for name, value in multipliers.items():
        if not (math.isfinite(value) and value >= 0.0):
            raise ValueError(f"the saved multiplier of {name} must be finite and at least 0, got {value}")
    return multipliers


def saved_memory(state: Mapping[str, Any], initial: Mapping[str, Memory]) -> dict[str, Memory]:
    """The saved memory, with the same numbers as the `initial` one of each constraint.

    Raises:
        ValueError: for other constraints or numbers, or one that is not finite.
    """
    memory = {name: dict(saved) for name, saved in per_constraint(state, "memory", initial).items()}
    for name, saved in memory.items():
        if saved.keys() != initial[name].keys():
            raise ValueError(
                f"the saved memory of {name} holds {sorted(saved)}, this controller's {sorted(initial[name])}; "
                "resume with the controller of the run, or start a new run"
            )
        for key, value in saved.items():
            if not (initial[name][key] is None if value is None else math.isfinite(value)):
                raise ValueError(f"the saved {key} of {name} must be a finite number, got {value}")
    return memory


def per_constraint(state: Mapping[str, Any], key: str, names: Iterable[str]) -> dict[str, Any]:
    """`state[key]`, in the order of `names`; a ValueError unless it is of exactly these constraints."""
    names, saved = list(names), state.get(key, {})
    if set(saved) != set(names):
        raise ValueError(
            f"the saved {key} are of the constraints {sorted(saved)}, this run has {sorted(names)}; "
            "resume with the same constraints, or start a new run"
        )
    return {name: saved[name] for name in names}
