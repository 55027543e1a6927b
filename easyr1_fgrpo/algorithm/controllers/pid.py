"""PID control of the multipliers (Stooke, Achiam and Abbeel, arXiv 2007.03964, Algorithm 2)."""

from __future__ import annotations

from typing import Any

from easyr1_fgrpo.algorithm.adaptive import AdaptiveMultipliers, Move
from easyr1_fgrpo.algorithm.constraints import Constraints
from easyr1_fgrpo.algorithm.saved_state import Memory

from .smoothing import check_at_least_0, check_smoothing, smoothed


class PID(AdaptiveMultipliers):
    """Proportional, integral and derivative control: the multiplier is the clipped sum of three terms.

    With e_t = tau - s_t and its moving average m_t = smoothing m_{t-1} + (1 - smoothing) e_t, m_1 = e_1:

        I_t = clip(I_{t-1} + lr e_t, 0, max_multiplier), I_0 the initial multiplier
        lambda_{t+1} = clip(kp m_t + I_t + kd max(m_t - m_{t-1}, 0), 0, max_multiplier)

    This is Algorithm 2 of arXiv 2007.03964 with K_I moved into the integral (so that it is a multiplier), its P and D
    smoothed as in the paper's experiments, and the integral projected at the cap too: it cannot wind up above it. With
    kp = kd = 0 it is dual ascent (FGRPO Eq. 4), exactly. The derivative is of the violation, so a threshold that is
    raised between two steps of one state acts like a score that fell.

    Args:
        constraints: as `AdaptiveMultipliers`.
        kp: weight of the smoothed violation, at least 0.
        kd: weight of its increase since the last update, at least 0; a decrease counts as 0.
        smoothing: of the moving average, in [0, 1); 0 for none.
        options: as `AdaptiveMultipliers`; `lr` is K_I.

    Raises:
        ValueError: as `AdaptiveMultipliers`, or for a gain out of its range.
    """

    name = "pid"

    def __init__(self, constraints: Constraints, *, kp: float, kd: float, smoothing: float, **options: Any) -> None:
        check_at_least_0("kp", kp)
        check_at_least_0("kd", kd)
        check_smoothing(smoothing)
        super().__init__(constraints, **options)
        self._kp, self._kd, self._smoothing = kp, kd, smoothing

    def _first_memory(self, multiplier: float) -> Memory:
        return {"integral": multiplier, "smoothed": None}

    def _move(self, multiplier: float, violation: float, memory: Memory) -> Move:
        integral = self._clipped((memory["integral"] or 0.0) + self._lr * violation)
        last = memory["smoothed"]
        now = smoothed(last, violation, self._smoothing)
        terms = {
            "proportional": self._kp * now,
            "integral": integral,
            "derivative": self._kd * (0.0 if last is None else max(now - last, 0.0)),
        }
        return Move(sum(terms.values()), {"integral": integral, "smoothed": now}, terms)
