"""The trace record: the one currency between training, evaluation and report.

A run directory holds `traces/<split>-<worker>.jsonl`, one record a line, and `images/<sha256>.png`. Model output is
hostile text: it is written as ASCII JSON, lone surrogates replaced.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from easyr1_fgrpo.judges.protocol import Failure, Label, Verdict
from easyr1_fgrpo.pictures import save_picture
from easyr1_fgrpo.rewards.response import Box
from easyr1_fgrpo.rewards.signal import Reason, Signal

if TYPE_CHECKING:
    from PIL.Image import Image

    from easyr1_fgrpo.rewards.rollout import RolloutScore, Sample

_SURROGATE = re.compile(r"[\ud800-\udfff]")


def _without_surrogates(value: object) -> object:
    return _SURROGATE.sub("\ufffd", value) if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_without_surrogates)]
"""Any string; surrogates, which no encoding can write, become U+FFFD, so offsets stay."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SignalRecord(_Record):
    """A signal as written: its value, or None and the name of a `Reason`."""

    value: float | None
    reason: str = Reason.NONE.name

    @model_validator(mode="after")
    def _is_signal(self) -> SignalRecord:
        if self.reason not in Reason.__members__:
            raise ValueError(f"reason={self.reason!r} is none of {list(Reason.__members__)}")
        Signal(self.value, Reason[self.reason])
        return self


class VerdictRecord(_Record):
    """A verdict as written: the label, or the failure and its cause; the judge's name and its raw text."""

    judge: Text
    label: Label | None = None
    failure: Failure | None = None
    cause: Text = ""
    text: Text = ""

    @classmethod
    def of(cls, verdict: Verdict) -> VerdictRecord:
        """The record of a verdict."""
        return cls(
            judge=verdict.judge, label=verdict.label, failure=verdict.failure, cause=verdict.cause, text=verdict.text
        )


class SentenceRecord(_Record):
    """A sentence of the trace, `trace[start:end]`; a trivial one has no verdict."""

    text: Text
    start: int = Field(ge=0)
    end: int = Field(ge=0)
    trivial: bool
    verdict: VerdictRecord | None = None


class ScorerRecord(_Record):
    """The LLM scorer's verdict on an answer (FGRPO B.2): right or wrong, or why neither."""

    scorer: Text
    right: bool | None
    cause: Text = ""
    text: Text = ""


class EvaluationRecord(_Record):
    """Where the question of an evaluation comes from and how it was asked.

    Attributes:
        key: hash of everything the record depends on; the record is kept as long as it stays the same.
        model, style: who was asked, and in which prompt style.
        benchmark, item, category, group: of the benchmark's item.
        tokens: length of the response as the server counts it; 0 when it does not.
        scorer: None when no scorer was asked.
    """

    key: str
    model: Text
    style: str
    benchmark: str
    item: Text
    category: Text = ""
    group: Text = ""
    tokens: int = Field(default=0, ge=0)
    scorer: ScorerRecord | None = None


class TraceRecord(_Record):
    """One scored rollout.

    Attributes:
        split, step, index, session: the key: the split, the training step (0 before training), the row's index and the
            number of the rollout within its group.
        question, choices, ground_truth: the dataset row.
        images: `image_sha256` of each image as the policy saw it.
        reference_boxes: ground-truth boxes, xyxy in pixels of those images.
        response: the decoded response, and whether it was cut at the length limit.
        trace, answer, boxes, n_boxes: its parts, as `rewards.ParsedResponse`.
        signals: measured values by name.
        consistency: the consistency verdict; None when it was not asked.
        sentences: sentences with their verdicts; empty when the grounding judge was not asked.
        evaluation: the benchmark's item, in an evaluation; None in training.
        written_at: Unix seconds, set by the writer; tells which record of a key is the last.
    """

    split: str
    step: int = Field(ge=0)
    index: int
    session: int
    question: Text
    choices: tuple[Text, ...]
    ground_truth: Text
    images: tuple[str, ...] = ()
    reference_boxes: tuple[Box, ...] = ()
    response: Text
    truncated: bool = False
    trace: Text | None
    answer: Text | None
    boxes: tuple[Box, ...] = ()
    n_boxes: int = Field(default=0, ge=0)
    signals: dict[str, SignalRecord]
    consistency: VerdictRecord | None = None
    sentences: tuple[SentenceRecord, ...] = ()
    evaluation: EvaluationRecord | None = None
    written_at: float = 0.0

    @property
    def key(self) -> tuple[str, int, int, int]:
        """What the last record wins by."""
        return self.split, self.step, self.index, self.session

    @classmethod
    def from_score(
        cls, sample: Sample, score: RolloutScore, *, images: tuple[str, ...], response: str, step: int, session: int
    ) -> TraceRecord:
        """The record of a scored rollout; `images` are the hashes of the sample's, as `save_images` gives them."""
        return cls(
            split=sample.split,
            step=step,
            index=sample.index,
            session=session,
            question=sample.question,
            choices=sample.choices,
            ground_truth=sample.ground_truth,
            images=images,
            reference_boxes=sample.boxes,
            response=response,
            truncated=score.truncated,
            trace=score.response.trace,
            answer=score.response.answer,
            boxes=score.response.boxes,
            n_boxes=score.response.n_boxes,
            signals={
                name: SignalRecord(value=signal.value, reason=signal.reason.name)
                for name, signal in score.signals.items()
            },
            consistency=None if score.consistency is None else VerdictRecord.of(score.consistency),
            sentences=tuple(
                SentenceRecord(
                    text=item.sentence.text,
                    start=item.sentence.start,
                    end=item.sentence.end,
                    trivial=item.sentence.trivial,
                    verdict=None if item.verdict is None else VerdictRecord.of(item.verdict),
                )
                for item in score.sentences
            ),
        )


MOST_BYTES = 1 << 28
"""Of a trace file, 256 MiB; a longer one is followed by the next."""


class TraceWriter:
    """Appends records to `<run_dir>/traces/<split>-<worker>.jsonl`; their images are saved before them.

    Each record is one write and one flush. A line torn by a crash is closed when the file is opened again, so it costs
    one record and no more. A file of `MOST_BYTES` is followed by `<split>-<worker>.1.jsonl`, and so on: what is full
    can be moved away. One process writes to a file.
    """

    def __init__(self, run_dir: str | Path, split: str, worker: str | int = 0) -> None:
        self._folder, self._name = Path(run_dir) / "traces", f"{split}-{worker}"
        self._folder.mkdir(parents=True, exist_ok=True)
        parts = (path.suffixes[-2][1:] for path in self._folder.glob(f"{self._name}.*.jsonl"))
        self._open(max((int(part) for part in parts if part.isdecimal()), default=0))

    def _open(self, part: int) -> None:
        self._part, self.path = part, self._folder / (f"{self._name}.{part}.jsonl" if part else f"{self._name}.jsonl")
        self._file = self.path.open("a+b")
        if self._file.tell() > 0:
            self._file.seek(-1, os.SEEK_END)
            if self._file.read(1) != b"\n":
                self._file.write(b"\n")

    def write(self, record: TraceRecord) -> None:
        """Append one record."""
        if self._file.tell() >= MOST_BYTES:
            self._file.close()
            self._open(self._part + 1)
        stamped = record.model_copy(update={"written_at": time.time()})
        self._file.write(stamped.model_dump_json(ensure_ascii=True).encode("ascii") + b"\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> TraceWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_traces(paths: Iterable[str | Path]) -> tuple[list[TraceRecord], int]:
    """Read trace files into memory; of several records with one key the one written last wins, in whichever file.

    What is larger than memory, `trace_index` reads.

    Returns:
        The records in the order in which their keys first appear, and how many lines were no record (torn, damaged).
    """
    records: dict[tuple[str, int, int, int], TraceRecord] = {}
    n_bad = 0
    for path in paths:
        with Path(path).open("rb") as file:
            for line in file:
                if not line.strip():
                    continue
                try:
                    record = TraceRecord.model_validate_json(line)
                except ValidationError:
                    n_bad += 1
                    continue
                known = records.get(record.key)
                if known is None or known.written_at <= record.written_at:
                    records[record.key] = record
    return list(records.values()), n_bad


def save_images(images: Iterable[Image], run_dir: str | Path) -> tuple[str, ...]:
    """Save images as `<run_dir>/images/<sha256>.png` where they are not there yet, atomically; returns their hashes."""
    return tuple(save_picture(image, Path(run_dir) / "images") for image in images)
