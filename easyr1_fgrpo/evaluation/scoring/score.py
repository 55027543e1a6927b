"""An answer becomes a trace record: read in its style, matched by rule and by scorer, judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from easyr1_fgrpo.chat_marks import first_turn, with_boxed, with_think_tags
from easyr1_fgrpo.config.schema import RewardSettings
from easyr1_fgrpo.evaluation.answers.asking import Answer, Rejected, content_hash
from easyr1_fgrpo.evaluation.answers.pictures import Picture
from easyr1_fgrpo.evaluation.benchmarks import Item
from easyr1_fgrpo.evaluation.scoring.scorer import AnswerScorer
from easyr1_fgrpo.evaluation.styles import Ours, Style
from easyr1_fgrpo.judges.boxes import pixel_boxes
from easyr1_fgrpo.judges.protocol import Judge, Question
from easyr1_fgrpo.rewards import Box, ParsedResponse, Sample, score_rollout
from easyr1_fgrpo.traces import EvaluationRecord, TraceRecord

NOBODY = "none"
"""The name of the judge of a question that nobody judges."""


READING = 6
"""The rules by which responses are read, matched and cut: stored records of another number are made anew."""


@dataclass(frozen=True)
class Scoring:
    """Who scores.

    Attributes:
        judges: who answers each question; `NoJudge` where nobody does.
        judged_by: what the verdicts depend on, for the key: the judges' config.
        rewards: with `judge_scope="all"`.
        scorer: None for none.
    """

    judges: Mapping[Question, Judge]
    judged_by: Mapping[str, Any]
    rewards: RewardSettings
    scorer: AnswerScorer | None = None

    @property
    def asked(self) -> dict[Question, Judge]:
        """The judges without those that stand for nobody: what nobody judges is not asked."""
        return {question: judge for question, judge in self.judges.items() if judge.name != NOBODY}

    def key(self, answer_key: str) -> str:
        """Hash of everything a record depends on besides the answer."""
        scorer = self.scorer.version if self.scorer else ""
        return content_hash(answer_key, dict(self.judged_by), self.rewards.model_dump(mode="json"), scorer, READING)


@dataclass(frozen=True)
class Subject:
    """What is scored: a model, its style, and an item at its position in the benchmark, under the record's key."""

    model: str
    style: Style
    item: Item
    index: int
    key: str


async def score(subject: Subject, pictures: Sequence[Picture], answer: Answer, scoring: Scoring) -> TraceRecord:
    """Score one answer.

    Raises:
        Rejected: for an item that cannot be scored.
        ModelGone: when the scorer cannot be asked any more.
    """
    item, style = subject.item, subject.style
    try:
        sample = _sample(subject, pictures)
    except ValueError as error:
        raise Rejected(str(error)) from error
    parsed = read(answer.text, style, pictures, item.choices)
    rollout = await score_rollout(
        sample, answer.text, scoring.asked, scoring.rewards, truncated=answer.truncated, parsed=parsed
    )
    scorer = None
    if scoring.scorer is not None:
        reply = parsed.answer or answer.text
        scorer = await scoring.scorer.score(sample.question_with_choices, item.answer, reply)
    images = tuple(picture.sha256 for picture in pictures)
    record = TraceRecord.from_score(sample, rollout, images=images, response=answer.text, step=0, session=0)
    evaluation = EvaluationRecord(
        key=subject.key,
        model=subject.model,
        style=style.name,
        benchmark=item.benchmark,
        item=item.id,
        category=item.category,
        group=item.group,
        tokens=answer.tokens,
        scorer=scorer,
    )
    return record.model_copy(update={"evaluation": evaluation})


def read(response: str, style: Style, pictures: Sequence[Picture], choices: Sequence[str] = ()) -> ParsedResponse:
    """A response's parts, boxes in pixels of the (first) image as it was sent.

    Only our own grammar is read as it stands: elsewhere every family's marks of thinking and of answers count.
    """
    text = response if isinstance(style, Ours) else first_turn(with_boxed(with_think_tags(response)))
    if style.coordinates == "thousand" and pictures:
        text = pixel_boxes(text, pictures[0].image.size)
    parts = style.parse(text, choices)
    n_boxes = len(parts.boxes) if parts.n_boxes is None else parts.n_boxes
    return ParsedResponse(parts.format_ok, parts.trace, parts.answer, parts.boxes, n_boxes)


def _sample(subject: Subject, pictures: Sequence[Picture]) -> Sample:
    item = subject.item
    return Sample(
        question=item.question,
        choices=item.choices,
        ground_truth=item.answer,
        images=tuple(picture.image for picture in pictures),
        boxes=tuple(_scaled(box, pictures[0]) for box in item.boxes),
        index=subject.index,
        split=item.benchmark,
    )


def _scaled(box: Box, picture: Picture) -> Box:
    """A reference box of the raw image in pixels of the image as it was sent."""
    (width, height), (raw_width, raw_height) = picture.image.size, picture.raw_size
    x, y = width / raw_width, height / raw_height
    x1, y1, x2, y2 = box
    return (x1 * x, y1 * y, x2 * x, y2 * y)
