"""One question's outcome: what a trace record says about it, in numbers and labels."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from easyr1_fgrpo.judges.protocol import Label
from easyr1_fgrpo.rewards import Reason
from easyr1_fgrpo.traces import TraceRecord


class Outcome(BaseModel):
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
        item, category, group: of a benchmark's item, as `benchmarks.Item`; "" elsewhere.
        empty: whether the reply had no text at all.
        accurate_by_scorer: the LLM scorer's word on the answer; None when none was asked or it gave none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

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
    item: str = ""
    category: str = ""
    group: str = ""
    empty: bool = False
    accurate_by_scorer: bool | None = None

    @classmethod
    def from_record(cls, record: TraceRecord, *, tokens: int) -> Outcome:
        """The outcome that a trace record holds."""
        semantic, asked = record.signals["semantic_grounding"], record.evaluation
        return cls(
            split=record.split,
            index=record.index,
            accurate=record.signals["accuracy"].value == 1.0,
            well_formed=record.signals["format"].value == 1.0,
            truncated=record.truncated,
            tokens=tokens,
            parsable=record.trace is not None and record.answer is not None,
            consistency=None if record.consistency is None else record.consistency.label,
            semantic_grounding=semantic.value,
            semantic_reason=semantic.reason,
            spatial_grounding=record.signals["spatial_grounding"].value,
            item=asked.item if asked else "",
            category=asked.category if asked else "",
            group=asked.group if asked else "",
            empty=not record.response.strip(),
            accurate_by_scorer=asked.scorer.right if asked and asked.scorer else None,
        )

    @property
    def key(self) -> tuple[str, str]:
        """Which question, the same for every model."""
        return self.split, self.item or str(self.index)

    @property
    def inconsistent(self) -> bool | None:
        """Whether the trace does not entail the answer (NO or UNCERTAIN); None when that is not known."""
        return None if self.consistency is None else self.consistency is not Label.YES

    @property
    def faithful(self) -> bool | None:
        """Whether it is right for reasons that hold: accurate, entailed by its trace, and every scored sentence true.

        A trace without a claim shows nothing, so it is not. None when a verdict is missing, whatever the answer: were
        wrong answers counted without theirs, every failure of a judge would lower the share.
        """
        if not self.parsable:
            return False
        if self.inconsistent is None:
            return None
        if self.semantic_grounding is None and self.semantic_reason != Reason.NO_CLAIM.name:
            return None
        return self.accurate and not self.inconsistent and self.semantic_grounding == 1.0
