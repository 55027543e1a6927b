"""The paper's controllers: dual ascent (FGRPO Eq. 4), and multipliers that never move.

Other update rules are in `easyr1_fgrpo.algorithm.controllers`.
"""

from __future__ import annotations

from .adaptive import AdaptiveMultipliers, Move
from .constraints import Measurement
from .controller import MultiplierController, MultiplierRecord
from .saved_state import Memory


class DualAscent(AdaptiveMultipliers):
    """Projected gradient ascent on the multipliers (FGRPO Eq. 4).

    lambda_k <- clip(lambda_k + lr (tau_k - s_k), 0, max_multiplier), only if `min_applicable` rollouts are applicable.
    """

    name = "dual_ascent"

    def _move(self, multiplier: float, violation: float, memory: Memory) -> Move:
        return Move(multiplier + self._lr * violation)


class FixedMultipliers(MultiplierController):
    """Multipliers that stay at their initial values (FGRPO's ablation); constraints are still measured."""

    name = "fixed"

    def _update(self, name: str, measured: Measurement, held: str) -> MultiplierRecord:
        return MultiplierRecord(**vars(measured), multiplier=self._multipliers[name], held="multipliers are fixed")
