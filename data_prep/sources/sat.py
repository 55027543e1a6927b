"""SAT (hub `array/SAT`, MIT): simulated indoor frames, one or two a question, multiple choice, no boxes.

The right choice may stand first in the file, so choices are shuffled. Some choices carry a left-over "in the first
frame", which the authors' loader removes as well. The newer `array/SAT-v2` has `images` in place of `image_bytes`.
The split `test` is the benchmark SAT-Real and is never read.
"""

from __future__ import annotations

import re

from pydantic import AliasChoices, BaseModel, Field

from data_prep.sources.item import Item
from data_prep.sources.source import Source
from data_prep.sources.text import clean_choice, clean_question, right_choice
from easyr1_fgrpo.published.record import Record

_LEFT_OVER = re.compile(r"\s*\bin the first frame\b", re.IGNORECASE)


class _Picture(BaseModel):
    data: bytes = Field(alias="bytes")


class _Record(BaseModel):
    question: str
    answers: list[str]
    correct_answer: str
    question_type: str = ""
    images: list[bytes | _Picture] = Field(min_length=1, validation_alias=AliasChoices("image_bytes", "images"))


def _read(record: Record) -> Item:
    """One row of SAT.

    Raises:
        Reject: when it cannot be used.
        pydantic.ValidationError: when it is no row of SAT.
    """
    row = _Record.model_validate(record)
    choices = tuple(choice for answer in row.answers if (choice := _clean(answer)))
    return Item(
        question=clean_question(row.question),
        answer=right_choice(_clean(row.correct_answer), choices),
        images=tuple(image if isinstance(image, bytes) else image.data for image in row.images),
        choices=choices,
        shuffle=True,
        question_type=row.question_type,
    )


def _clean(choice: str) -> str:
    return clean_choice(_LEFT_OVER.sub("", choice))


SOURCE = Source(
    name="sat",
    hub="array/SAT",
    licence="mit",
    files=("SAT_train.parquet", "data/train-*.parquet"),
    read=_read,
    held_out="test",
)
