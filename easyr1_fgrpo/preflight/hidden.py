"""How much longer judging makes a step: a closed form, held against measured steps in docs/scaling.md.

Rollouts are scored while others are still being generated. What the judges have not answered when the last rollout
ends, the step waits for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Judging:
    """What a step asks one judge.

    Attributes:
        calls: of a step.
        at_once: calls under way at most.
        answer_s: seconds of an answer with so many under way.
    """

    calls: float
    at_once: int
    answer_s: float

    def added_s(self, rollout_s: float, spread: float) -> float:
        """Seconds by which a step is longer than its rollouts and its update.

        The calls are answered in waves of `at_once`, from the first rollout on; the last one is asked when the last
        rollout ends, or when the queue before it has been answered.

        Args:
            rollout_s: seconds in which a step's rollouts are generated.
            spread: share of that time over which rollouts end, in [0, 1]: 0 when all end at once.
        """
        if not self.calls:
            return 0.0
        waves = math.ceil(self.calls / self.at_once)
        return max(self.answer_s, waves * self.answer_s - spread * rollout_s)
