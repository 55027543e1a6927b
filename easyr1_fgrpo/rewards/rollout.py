"""What is scored and what comes out: the sample, the rollout's score, and the numbers a trainer reads."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from string import ascii_uppercase
from typing import TYPE_CHECKING

from easyr1_fgrpo.judges.protocol import Label, Question, Usage, Verdict
from easyr1_fgrpo.rewards.response import Box, ParsedResponse
from easyr1_fgrpo.rewards.sentences import Sentence
from easyr1_fgrpo.rewards.signal import Reason, Signal

if TYPE_CHECKING:
    from PIL.Image import Image

TASK = "task"
SIGNALS = ("format", "accuracy", "consistency", "semantic_grounding", "spatial_grounding")
"""Every signal of a rollout besides the task reward."""

CORRECT_ONLY = frozenset({"consistency", "semantic_grounding"})
"""Signals that apply to correct rollouts only (R_acc > 0), even where wrong ones are measured too."""

COUNTS = (
    "truncated",
    "response_boxes",
    "sentences",
    "trivial_sentences",
    "scored_sentences",
    "skipped_sentences",
)

JUDGE_COUNTS = (
    "verdicts",
    "failures",
    "uncertain",
    "calls",
    "retries",
    "cached",
    "prompt_tokens",
    "completion_tokens",
    "dollars",
    "wait_s",
)
"""What is known of one question's judge over a rollout, in keys `judge_<question>_<count>`; `wait_s` is the longest
wait for a verdict, NaN where none was asked for."""


@dataclass(frozen=True)
class Sample:
    """One dataset row, as rewards read it.

    Attributes:
        question: the user's question.
        choices: the options' texts in order; empty for a free answer.
        ground_truth: the right option's text.
        images: the images at the size at which the policy saw them.
        boxes: ground-truth boxes, xyxy in pixels of those images; empty when the row has none.
        index: the row's index within its split.
        split: name of the split.

    Raises:
        ValueError: when a ground-truth box is not finite or is reversed.
    """

    question: str
    choices: tuple[str, ...]
    ground_truth: str
    images: tuple[Image, ...] = ()
    boxes: tuple[Box, ...] = ()
    index: int = 0
    split: str = "train"

    def __post_init__(self) -> None:
        for box in self.boxes:
            if len(box) != 4 or not all(map(math.isfinite, box)) or box[0] > box[2] or box[1] > box[3]:
                raise ValueError(
                    f"row {self.index} of split {self.split!r}: ground-truth box {box!r} is not x1 <= x2, y1 <= y2, "
                    "finite: fix the row"
                )

    @property
    def question_with_choices(self) -> str:
        """The question as a judge reads it, its choices lettered below."""
        lettered = zip(ascii_uppercase, self.choices, strict=False)
        return "\n".join([self.question, *(f"{letter}. {text}" for letter, text in lettered)])


@dataclass(frozen=True)
class SentenceVerdict:
    """A sentence of the trace and the grounding judge's verdict; None for one that nobody judged, a trivial one say."""

    sentence: Sentence
    verdict: Verdict | None


@dataclass(frozen=True)
class RolloutScore:
    """Everything measured about one rollout.

    Attributes:
        signals: measured values by name, "task", `SIGNALS` and custom signals; whether a constraint applies is
            `applicable`.
        response: the parsed response.
        consistency: the consistency judge's verdict; None when it was not asked.
        sentences: the trace's sentences with their verdicts; empty when the grounding judge was not asked.
        truncated: whether the response was cut at the length limit.
    """

    signals: Mapping[str, Signal]
    response: ParsedResponse
    consistency: Verdict | None
    sentences: tuple[SentenceVerdict, ...]
    truncated: bool

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Every verdict that was asked for."""
        grounding = [item.verdict for item in self.sentences]
        return tuple(verdict for verdict in (self.consistency, *grounding) if verdict is not None)

    def applicable(self, name: str) -> bool:
        """The training mask m_k: the signal has a value and, for `CORRECT_ONLY`, the answer is right."""
        return self.signals[name].valid and (name not in CORRECT_ONLY or self.signals["accuracy"].value == 1.0)

    def to_numbers(self) -> dict[str, float]:
        """The score as numbers, the same keys for every rollout (verl takes the keys from the first row).

        Returns:
            Per signal `<name>` (the measured value, NaN when absent), `<name>_valid` (`applicable`, 1 or 0) and
            `<name>_reason` (a `Reason`, 0 when there is a value: a wrong rollout that was measured has reason 0 and
            valid 0); `acc`; `COUNTS`, numbers of things, `truncated` being 0 or 1; and per question `JUDGE_COUNTS`.
        """
        numbers = {}
        custom = [name for name in self.signals if name not in (TASK, *SIGNALS)]
        for name in (TASK, *SIGNALS, *custom):
            signal = self.signals[name]
            numbers[name] = math.nan if signal.value is None else signal.value
            numbers[f"{name}_valid"] = float(self.applicable(name))
            numbers[f"{name}_reason"] = float(signal.reason)
        return {**numbers, "acc": numbers["accuracy"], **self._counts(), **self._judge_counts()}

    def _counts(self) -> dict[str, float]:
        labels = [item.verdict.label for item in self.sentences if item.verdict is not None]
        counts = (
            self.truncated,
            self.response.n_boxes,
            len(self.sentences),
            sum(item.sentence.trivial for item in self.sentences),
            sum(label in (Label.CORRECT, Label.INCORRECT) for label in labels),
            labels.count(Label.SKIP),
        )
        return dict(zip(COUNTS, map(float, counts), strict=True))

    def _judge_counts(self) -> dict[str, float]:
        grounding = [item.verdict for item in self.sentences if item.verdict is not None]
        asked = {Question.CONSISTENCY: [self.consistency] if self.consistency else [], Question.GROUNDING: grounding}
        numbers: dict[str, float] = {}
        for question, verdicts in asked.items():
            usage = sum((verdict.usage for verdict in verdicts), Usage())
            counts = (
                len(verdicts),
                sum(verdict.failure is not None for verdict in verdicts),
                sum(verdict.label is Label.UNCERTAIN for verdict in verdicts),
                usage.calls,
                usage.retries,
                usage.cached,
                usage.prompt_tokens,
                usage.completion_tokens,
                usage.dollars,
                max((verdict.usage.seconds for verdict in verdicts), default=math.nan),
            )
            numbers |= zip(_judge_keys(question), map(float, counts), strict=True)
        return numbers


def _judge_keys(question: Question) -> list[str]:
    return [f"judge_{question}_{count}" for count in JUDGE_COUNTS]


def failed_numbers(reason: Reason, custom: Iterable[str] = ()) -> dict[str, float]:
    """`RolloutScore.to_numbers` for a rollout without a score: no signal has a value, nothing was counted.

    Args:
        reason: why there is none.
        custom: names of custom signals.
    """
    numbers: dict[str, float] = {}
    for name in (TASK, *SIGNALS, *custom):
        numbers |= {name: math.nan, f"{name}_valid": 0.0, f"{name}_reason": float(reason)}
    judges = {
        key: math.nan if key.endswith("wait_s") else 0.0 for question in Question for key in _judge_keys(question)
    }
    return {**numbers, "acc": math.nan, **dict.fromkeys(COUNTS, 0.0), **judges}
