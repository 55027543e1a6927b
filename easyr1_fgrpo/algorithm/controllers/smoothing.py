"""The moving average of PID and nuPI, and the bounds of their gains."""

from __future__ import annotations

import math


def smoothed(last: float | None, value: float, smoothing: float) -> float:
    """The exponential moving average after `value`; the first value starts it."""
    return value if last is None else smoothing * last + (1.0 - smoothing) * value


def check_smoothing(smoothing: float) -> None:
    """Raises a ValueError unless in [0, 1)."""
    if not 0.0 <= smoothing < 1.0:
        raise ValueError(f"smoothing must lie in [0, 1), got {smoothing}")


def check_at_least_0(option: str, value: float) -> None:
    """Raises a ValueError unless an option is a finite number of at least 0."""
    if not (math.isfinite(value) and value >= 0.0):
        raise ValueError(f"{option} must be finite and at least 0, got {value}")
