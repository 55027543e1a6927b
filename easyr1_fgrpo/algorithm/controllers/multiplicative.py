"""Multiplicative updates of the multipliers: ascent in their logarithm."""

from __future__ import annotations

import math
from typing import Any

from easyr1_fgrpo.algorithm.adaptive import AdaptiveMultipliers, Move, check_positive
from easyr1_fgrpo.algorithm.constraints import Constraints
from easyr1_fgrpo.algorithm.saved_state import Memory


class Multiplicative(AdaptiveMultipliers):
    """Exponentiated-gradient ascent: a step is relative to the multiplier, so large ones move fast, small ones gently.

        lambda_{t+1} = clip(max(lambda_t, floor) exp(lr (tau - s_t)), floor, max_multiplier)

    Mirror ascent on the dual with entropy as its potential: the unnormalised exponentiated gradient, EGU, of Kivinen
    and Warmuth (Information and Computation 132, 1997). A product cannot leave 0, hence the floor: a satisfied
    constraint keeps at least that weight.

    Args:
        constraints: as `AdaptiveMultipliers`.
        floor: the smallest multiplier after an update, above 0 and below the cap.
        options: as `AdaptiveMultipliers`; `lr` is per unit of violation in the logarithm.

    Raises:
        ValueError: as `AdaptiveMultipliers`, or for a floor out of its range.
    """

    name = "multiplicative"

    def __init__(self, constraints: Constraints, *, floor: float, **options: Any) -> None:
        check_positive("floor", floor)
        super().__init__(constraints, **options)
        if floor >= self._max_multiplier:
            raise ValueError(f"floor must be below max_multiplier={self._max_multiplier}, got {floor}")
        self._floor = floor

    def _move(self, multiplier: float, violation: float, memory: Memory) -> Move:
        # In the logarithm, so that no violation is large enough to overflow.
        moved = math.log(max(multiplier, self._floor)) + self._lr * violation
        if moved >= math.log(self._max_multiplier):
            return Move(self._max_multiplier)
        return Move(max(math.exp(moved), self._floor))
