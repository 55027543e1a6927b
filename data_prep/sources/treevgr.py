"""TreeVGR-RL-37K (hub `HaochenWang/TreeVGR-RL-37K`): V* questions, open-ended, and VisDrone counts, multiple choice.

Boxes are raw pixels of the stored image, x1, y1, x2, y2 (the V* annotations they come from were x, y, width, height).
VisDrone's options are written in the question, its answers are letters. Many questions resemble V* Bench: name that
benchmark to decontamination when it is to be reported.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from data_prep.sources.boxes import BoxError, as_boxes
from data_prep.sources.item import Item, Reject
from data_prep.sources.source import Source
from data_prep.sources.text import question_and_answer


class _Target(BaseModel):
    bbox: list[Any]


class _Record(BaseModel):
    images: list[str] = Field(min_length=1)
    problem: str
    answer: str
    target_instances: list[_Target]


def _read(record: dict[str, Any]) -> Item:
    row = _Record.model_validate(record)
    question, choices, answer = question_and_answer(row.problem, row.answer)
    try:
        boxes = tuple(dict.fromkeys(box for target in row.target_instances for box in as_boxes(target.bbox)))
    except BoxError as error:
        raise Reject("malformed box", str(error)) from None
    return Item(
        question=question,
        answer=answer,
        choices=choices,
        images=tuple((path,) for path in row.images),
        boxes=boxes,
        dataset="visdrone" if choices else "vstar",
    )


SOURCE = Source(
    name="treevgr",
    hub="HaochenWang/TreeVGR-RL-37K",
    licence="not stated",
    files=("vstar30k_visdrone6k_x1y1x2y2.parquet",),
    read=_read,
    image_hub="HaochenWang/TreeVGR-RL-37K",
    archives=("images.tar.gz",),
)
