"""nuPI control of the multipliers (Sohrabi, Ramirez, Zhang, Lacoste-Julien and Gallego-Posada, arXiv 2406.04558)."""

from __future__ import annotations

from typing import Any

from easyr1_fgrpo.algorithm.adaptive import AdaptiveMultipliers, Move
from easyr1_fgrpo.algorithm.constraints import Constraints
from easyr1_fgrpo.algorithm.saved_state import Memory

from .smoothing import check_at_least_0, check_smoothing, smoothed


class NuPI(AdaptiveMultipliers):
    """A proportional-integral controller whose proportional part is smoothed, in increments.

    With e_t = tau - s_t and xi_t = nu xi_{t-1} + (1 - nu) e_t, xi_1 = e_1:

        lambda_{t+1} = clip(lambda_t + lr e_t + kp (xi_t - xi_{t-1}), 0, max_multiplier)

    This is the recursive form of Algorithm 1 of arXiv 2406.04558 with kappa_i = lr and projection after every step, so
    nothing winds up behind a bound. The first step is plain ascent, as there is no earlier violation to compare with.
    With kp = 0 it is dual ascent (FGRPO Eq. 4), exactly; negative nu (momentum) is left out.

    Args:
        constraints: as `AdaptiveMultipliers`.
        kp: kappa_p, how much a change of the violation counts, at least 0; damps when violations shrink.
        smoothing: nu, in [0, 1); 0 for none.
        options: as `AdaptiveMultipliers`; `lr` is kappa_i.

    Raises:
        ValueError: as `AdaptiveMultipliers`, or for a gain out of its range.
    """

    name = "nupi"

    def __init__(self, constraints: Constraints, *, kp: float, smoothing: float, **options: Any) -> None:
        check_at_least_0("kp", kp)
        check_smoothing(smoothing)
        super().__init__(constraints, **options)
        self._kp, self._smoothing = kp, smoothing

    def _first_memory(self, multiplier: float) -> Memory:
        return {"smoothed": None}

    def _move(self, multiplier: float, violation: float, memory: Memory) -> Move:
        last = memory["smoothed"]
        now = smoothed(last, violation, self._smoothing)
        terms = {"integral": self._lr * violation, "proportional": 0.0 if last is None else self._kp * (now - last)}
        return Move(multiplier + terms["integral"] + terms["proportional"], {"smoothed": now}, terms)
