"""What a judge may be asked and what it may answer.

A judge never returns a score: it returns a verdict, which is a label or the reason why there is none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from PIL.Image import Image


class Question(StrEnum):
    """The two questions of FGRPO section 3: does the trace entail the answer, is its latest sentence true."""

    CONSISTENCY = "consistency"
    GROUNDING = "grounding"


class Label(StrEnum):
    """Every label a judge may give; the first three answer consistency, the last three grounding."""

    YES = "YES"
    NO = "NO"
    UNCERTAIN = "UNCERTAIN"
    CORRECT = "CORRECT"
    INCORRECT = "INCORRECT"
    SKIP = "SKIP"


LABELS: dict[Question, frozenset[Label]] = {
    Question.CONSISTENCY: frozenset({Label.YES, Label.NO, Label.UNCERTAIN}),
    Question.GROUNDING: frozenset({Label.CORRECT, Label.INCORRECT, Label.SKIP}),
}


class Failure(StrEnum):
    """Why a verdict has no label."""

    UNREACHABLE = "unreachable"
    REFUSED = "refused"  # the key: 401, 403
    DEADLINE = "deadline"
    INVALID = "invalid"
    OVERSIZED = "oversized"  # more bytes than are read of an answer
    TOO_MANY_CLAIMS = "too_many_claims"  # nobody was asked: see `reward.max_claims`


@dataclass(frozen=True)
class JudgeRequest:
    """One question to a judge.

    Attributes:
        kind: which question is asked.
        question: the user's question with its answer choices, as the policy read it.
        images: the images the policy saw, at the policy's processed size; empty for the text-only consistency judge.
        context: consistency: the whole trace; grounding: the reasoning before the claim.
        claim: grounding: the sentence to judge. Boxes in it are raw pixels of `images`.
        answer: consistency: the final answer of the rollout.
        limit_s: seconds for the verdict, `reward.deadline_s`; see `Judge`.
    """

    kind: Question
    question: str
    images: tuple[Image, ...] = ()
    context: str = ""
    claim: str = ""
    answer: str = ""
    limit_s: float = math.inf


@dataclass(frozen=True)
class Usage:
    """What verdicts cost; usages add up.

    Attributes:
        calls: requests sent to a server, failed ones included.
        retries: of these, how many repeated a failed one.
        cached: verdicts that were known already.
        prompt_tokens, completion_tokens: as the server counts them.
        seconds: waited for the verdict, from question to answer.
        dollars: at the configured price of tokens.
    """

    calls: int = 0
    retries: int = 0
    cached: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    dollars: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True)
class Verdict:
    """A label, or the reason why there is none; always with the judge's name and its raw text.

    Raises:
        ValueError: when both or neither of `label` and `failure` are given.
    """

    label: Label | None
    judge: str
    failure: Failure | None = None
    cause: str = ""
    text: str = ""
    usage: Usage = field(default_factory=Usage)

    def __post_init__(self) -> None:
        if (self.label is None) == (self.failure is None):
            raise ValueError(
                f"a verdict is a label or a failure, got label={self.label!r} and failure={self.failure!r}"
            )


@runtime_checkable
class Judge(Protocol):
    """Anything that answers questions. `ask` reports trouble as a verdict without label; it does not raise.

    A question is given up `limit_s` after it was asked. A judge where questions queue says `keeps_time = True` and is
    waited for: it counts the limit from when it begins with a question, and sees to it that its queue ends.
    """

    name: str

    async def ask(self, request: JudgeRequest) -> Verdict:
        """Judge one request."""
        ...


@runtime_checkable
class RolloutJudge(Judge, Protocol):
    """A judge that answers all grounding questions of one rollout together, when its `per_rollout` is true."""

    per_rollout: bool

    async def ask_all(self, requests: Sequence[JudgeRequest]) -> list[Verdict]:
        """Judge the claims of one rollout in their order; one verdict each. The first carries the whole usage."""
        ...
