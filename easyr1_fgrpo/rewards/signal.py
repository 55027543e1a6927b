"""A signal: one rollout's score for one thing, or the reason why it has none. Never a silent zero."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum


class Reason(IntEnum):
    """Why a signal has no value. Numeric, because verl carries numbers; 0 means that there is a value."""

    NONE = 0
    ANSWER_WRONG = 1  # the constraint applies to correct rollouts only (R_acc > 0)
    NO_CLAIM = 2  # no sentence was scored: nothing to be grounded
    NO_REFERENCE = 3  # the sample has no ground-truth boxes
    UNPARSABLE = 4  # no trace or no answer to judge
    JUDGE_UNREACHABLE = 5
    JUDGE_DEADLINE = 6
    JUDGE_INVALID = 7  # the judge answered with something that is no label
    REWARD_FAILED = 8  # scoring itself raised; the rollout is not valid
    MISSING = 9  # the rollout came back without scores
    TRUNCATED = 10  # cut at the length limit, with reward.truncated=invalid
    NOT_APPLICABLE = 11  # a custom signal says that it does not apply
    NO_JUDGE = 12  # nobody was named to judge it
    JUDGE_REFUSED = 13  # the judge does not take our key
    JUDGE_OVERSIZED = 14  # the judge sent more bytes than are read
    TOO_MANY_CLAIMS = 15  # more than reward.max_claims: no judge was asked


NOT_MEASURED = frozenset(
    {
        Reason.JUDGE_UNREACHABLE,
        Reason.JUDGE_DEADLINE,
        Reason.JUDGE_INVALID,
        Reason.JUDGE_REFUSED,
        Reason.JUDGE_OVERSIZED,
        Reason.TOO_MANY_CLAIMS,
        Reason.NO_JUDGE,
    }
)
"""There was something to measure, and it was not."""


@dataclass(frozen=True)
class Signal:
    """A score in [0, 1], or the reason why there is none.

    Raises:
        ValueError: when value and reason disagree, or the value is not a finite number in [0, 1].
    """

    value: float | None
    reason: Reason = Reason.NONE

    def __post_init__(self) -> None:
        if (self.value is None) == (self.reason is Reason.NONE):
            raise ValueError(f"a signal is a value or a reason, got value={self.value!r} and reason={self.reason.name}")
        if self.value is not None and not (math.isfinite(self.value) and 0.0 <= self.value <= 1.0):
            raise ValueError(f"a signal lies in [0, 1], got {self.value!r}")

    @property
    def valid(self) -> bool:
        """Whether there is a value."""
        return self.value is not None

    @classmethod
    def absent(cls, reason: Reason) -> Signal:
        """A signal without a value, and why."""
        return cls(None, reason)
