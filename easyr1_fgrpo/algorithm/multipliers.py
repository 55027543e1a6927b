"""The paper's controllers: dual ascent (FGRPO Eq. 4), and multipliers that never move.

Other update rules are in `easyr1_fgrpo.algorithm.controllers`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from .adaptive import AdaptiveMultipliers, Move
from .constraints import Constraint, initial_multipliers, measure
from .controller import NOTHING_HELD, MultiplierRecord
from .saved_state import Memory, check_controller, saved_multipliers


class DualAscent(AdaptiveMultipliers):
    """Projected gradient ascent on the multipliers (FGRPO Eq. 4).

    lambda_k <- clip(lambda_k + lr (tau_k - s_k), 0, max_multiplier), only if `min_applicable` rollouts are applicable.
    """

    name = "dual_ascent"

    def _move(self, multiplier: float, violation: float, memory: Memory) -> Move:
        return Move(multiplier + self._lr * violation)


class FixedMultipliers:
    """Multipliers that stay at their initial values (FGRPO's ablation); constraints are still measured.

    Args:
        constraints: what to measure, each name once.

    Raises:
        ValueError: when two constraints share a name.
    """

    def __init__(self, constraints: Iterable[Constraint]) -> None:
        self._constraints = tuple(constraints)
        self._multipliers = initial_multipliers(self._constraints)

    @property
    def multipliers(self) -> dict[str, float]:
        """Lambda per constraint; a copy."""
        return dict(self._multipliers)

    def step(
        self, scores: Mapping[str, tuple[Tensor, Tensor]], *, hold: Mapping[str, str] = NOTHING_HELD
    ) -> dict[str, MultiplierRecord]:
        """Measure every constraint; no multiplier moves.

        Args:
            scores: per constraint its (B,) scores and (B,) boolean mask, True on applicable valid rollouts.
            hold: not read, nothing moves anyway.

        Returns:
            A record per constraint.

        Raises:
            ValueError: when `scores` holds other names than the constraints, or for a bad tensor.
        """
        return {
            name: MultiplierRecord(**vars(measured), multiplier=self._multipliers[name], held="multipliers are fixed")
            for name, measured in measure(self._constraints, scores).items()
        }

    def state_dict(self) -> dict[str, Any]:
        """The multipliers, in plain types that survive JSON."""
        return {"controller": "fixed", "multipliers": self.multipliers}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state.

        Raises:
            ValueError: when the state is another controller's, of other constraints, or not whole.
        """
        check_controller(state, "fixed")
        self._multipliers = saved_multipliers(state, self._multipliers)
