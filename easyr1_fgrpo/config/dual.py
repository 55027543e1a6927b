"""The config key `fgrpo.dual`: which controller moves the multipliers, and how."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from easyr1_fgrpo.config.base import Settings

CONTROLLER_OPTIONS: dict[str, dict[str, float]] = {
    "dual_ascent": {},
    "fixed": {},
    "pid": {"kp": 5.0, "kd": 5.0, "smoothing": 0.9},
    "nupi": {"kp": 5.0, "smoothing": 0.9},
    "multiplicative": {"floor": 0.05},
}
"""The options that only some controllers have, with their defaults, by controller."""

Gain = Annotated[float, Field(ge=0.0)]


class DualSettings(Settings):
    """How multipliers move: see `easyr1_fgrpo.algorithm` for the controllers' equations.

    A multiplier moves only on steps with `min_applicable` applicable rollouts or more, and only when judges measured at
    least the share `min_valid_share` of the rollouts they were asked about: the rest may be no fair sample.

    Attributes:
        controller: "dual_ascent" (FGRPO Eq. 4), "fixed" (multipliers never move), "pid", "nupi" or "multiplicative".
        lr: rate of the multiplier per unit of violation and step; of its logarithm with "multiplicative".
        lambda_max: the cap.
        kp, kd, smoothing, floor: options of single controllers, refused with any other; None is the default in
            `CONTROLLER_OPTIONS`.
    """

    controller: Literal["dual_ascent", "fixed", "pid", "nupi", "multiplicative"] = "dual_ascent"
    lr: Annotated[float, Field(gt=0.0)] = 0.05
    lambda_max: Annotated[float, Field(gt=0.0)] = 5.0
    min_applicable: Annotated[int, Field(ge=1)] = 8
    min_valid_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    kp: Gain | None = None
    kd: Gain | None = None
    smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] | None = None
    floor: Annotated[float, Field(gt=0.0)] | None = None

    @property
    def controller_options(self) -> dict[str, float]:
        """The options that only some controllers have, of the chosen one."""
        defaults = CONTROLLER_OPTIONS[self.controller]
        return {key: default if getattr(self, key) is None else getattr(self, key) for key, default in defaults.items()}

    def check(self) -> None:
        """Raises a ValueError, which starts with the key, for another controller's option or a floor at the cap."""
        for key in ("kp", "kd", "smoothing", "floor"):
            if (value := getattr(self, key)) is not None and key not in CONTROLLER_OPTIONS[self.controller]:
                owners = " or ".join(name for name, options in CONTROLLER_OPTIONS.items() if key in options)
                raise ValueError(
                    f"dual.{key}={value}: controller={self.controller} has no such option; "
                    f"leave it out, or choose controller={owners}"
                )
        floor = self.controller_options.get("floor", 0.0)
        if floor >= self.lambda_max:
            raise ValueError(f"dual.floor={floor}: Input should be less than dual.lambda_max={self.lambda_max}")
