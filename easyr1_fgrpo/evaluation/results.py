"""What an evaluation writes: one result per checkpoint and mode, with the value of every question in it."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from easyr1_fgrpo.judges.protocol import Label
from easyr1_fgrpo.rewards import Reason, RolloutScore, Sample


class Mode(StrEnum):
    """How responses are drawn: greedy, or one sample at temperature 1 (the distribution that RL trains)."""

    GREEDY = "greedy"
    SAMPLED = "sampled"

    @property
    def temperature(self) -> float:
        """Of the softmax; 0 is greedy."""
        return 0.0 if self is Mode.GREEDY else 1.0


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Estimate(_Record):
    """A measured number with its 95 % interval.

    Attributes:
        value: None when there was nothing to measure.
        low, high: ends of the interval; None where there is none (a mean over nothing or over equal values).
        n: how many were measured.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int = Field(ge=0)


class Item(_Record):
    """One question's outcome.

    Attributes:
        split, index: which question.
        accurate: R_acc.
        well_formed: R_fmt.
        truncated: whether the response was cut at the length limit.
        tokens: response length, end token included.
        parsable: whether there were a trace and an answer to judge.
        consistency: the judge's label; None when it gave none or there was nothing to judge.
        semantic_grounding: R_S; None when it has no value, and `semantic_reason` says why.
        spatial_grounding: R_G; None for a row without reference boxes.
    """

    split: str
    index: int
    accurate: bool
    well_formed: bool
    truncated: bool
    tokens: int = Field(ge=0)
    parsable: bool
    consistency: Label | None
    semantic_grounding: float | None
    semantic_reason: str
    spatial_grounding: float | None

    @classmethod
    def from_score(cls, sample: Sample, score: RolloutScore, *, tokens: int) -> Item:
        """The outcome of a scored rollout."""
        semantic = score.signals["semantic_grounding"]
        return cls(
            split=sample.split,
            index=sample.index,
            accurate=score.signals["accuracy"].value == 1.0,
            well_formed=score.response.well_formed,
            truncated=score.truncated,
            tokens=tokens,
            parsable=score.response.parsable,
            consistency=None if score.consistency is None else score.consistency.label,
            semantic_grounding=semantic.value,
            semantic_reason=Reason(semantic.reason).name,
            spatial_grounding=score.signals["spatial_grounding"].value,
        )

    @property
    def inconsistent(self) -> bool | None:
        """Whether the trace does not entail the answer (NO or UNCERTAIN); None when that is not known."""
        return None if self.consistency is None else self.consistency is not Label.YES


class Inputs(_Record):
    """Everything a result depends on; a finished result is kept as long as these stay the same."""

    checkpoint_sha256: str
    data_sha256: str
    mode: Mode
    samples: int
    seed: int
    max_new_tokens: int
    judge: str
    judge_options: dict[str, Any]


class Result(_Record):
    """A checkpoint evaluated in one mode.

    Attributes:
        name: what the checkpoint is called in tables.
        checkpoint, data: where they were.
        inputs: see `Inputs`.
        seconds: how long it took.
        metrics: see `metrics.measure`.
        items: one per question.
    """

    name: str
    checkpoint: str
    data: str
    inputs: Inputs
    seconds: float
    metrics: dict[str, Estimate]
    items: tuple[Item, ...]

    @staticmethod
    def path(out: Path, name: str, mode: Mode) -> Path:
        """Where a result lies."""
        return out / f"{name}-{mode}.json"

    def save(self, out: Path) -> None:
        """Write the result, whole or not at all."""
        path = self.path(out, self.name, self.inputs.mode)
        part = path.with_name(f".{path.name}.part")
        part.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
        os.replace(part, path)

    @classmethod
    def load(cls, path: Path) -> Result:
        """Read a result.

        Raises:
            ValueError: when the file is no result.
            OSError: when it cannot be read.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise ValueError(f"{path} is no evaluation result: {error.error_count()} fields do not fit") from error
