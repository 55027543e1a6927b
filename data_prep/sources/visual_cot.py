"""Visual-CoT (hub `deepcs233/Visual-CoT`, Apache 2.0): open-ended questions with the region that answers them.

Two forms of the same data are read: `metadata/*_cot_train.jsonl`, whose `bboxs` are raw pixels and may be several, and
`viscot_363k.json`, where they are united into one box that stands twice: in raw pixels after `###` in the second image
path, and in the conversation's text as 0-1 of the image centred in a square. The pixels are used; the text's box is
converted where a path has no `###`.

Kept are photographs: gqa, openimages, flickr30k, vsr, visual7w and cub. docvqa, infographicsvqa, dude and sroie
(documents, charts, tables), textvqa and textcap (reading) are dropped, as FGRPO section A.3 drops charts, tables and
visual mathematics; so is anything not named here.

Pictures lie in a folder a data set (visual7w in `v7w`), some below further folders. File names alone are ambiguous
across data sets, so they are never looked up alone.
"""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import BaseModel, Field

from data_prep.sources.boxes import Box, BoxError, Convention, as_boxes
from data_prep.sources.item import Item, Reject
from data_prep.sources.source import Source
from data_prep.sources.text import question_and_answer

FOLDERS = {
    "gqa": ("gqa",),
    "openimages": ("openimages",),
    "flickr30k": ("flickr30k",),
    "vsr": ("vsr",),
    "visual7w": ("v7w", "visual7w"),
    "cub": ("cub",),
}
"""Data sets that are kept, and the folder where the pictures of each may be."""

_ALSO = {"v7w": "visual7w"}
"""Other names that files have for them."""

_TEXT_BOX = re.compile(r"\[[^\]]*\]")


class _Metadata(BaseModel):
    question: str
    answer: str
    image: str
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    bboxs: list[Any]
    dataset: str


class _Turn(BaseModel):
    speaker: str = Field(alias="from")
    value: str


class _Conversation(BaseModel):
    dataset: str
    image: list[str] = Field(min_length=1)
    conversations: list[_Turn] = Field(min_length=4)


def _read(record: dict[str, Any]) -> Item:
    return _from_metadata(record) if "bboxs" in record else _from_conversation(record)


def _from_metadata(record: dict[str, Any]) -> Item:
    row = _Metadata.model_validate(record)
    dataset = _kept(row.dataset)
    question, choices, answer = question_and_answer(row.question, row.answer)
    return Item(
        question=question,
        answer=answer,
        choices=choices,
        images=(_places(dataset, row.image),),
        boxes=_unique(row.bboxs),
        size=(row.width, row.height),
        dataset=dataset,
    )


def _from_conversation(record: dict[str, Any]) -> Item:
    row = _Conversation.model_validate(record)
    dataset = _kept(row.dataset)
    path, _, _ = row.image[0].partition("###")
    pixels = row.image[1].partition("###")[2] if len(row.image) > 1 else ""
    written = pixels or "".join(_TEXT_BOX.findall(row.conversations[1].value)[:1])
    try:
        boxes = _unique(json.loads(written)) if written else ()
    except ValueError as error:
        raise Reject("malformed box", f"{written!r} ({error})") from None
    question, choices, answer = question_and_answer(row.conversations[0].value, row.conversations[3].value)
    return Item(
        question=question,
        answer=answer,
        choices=choices,
        images=(_places(dataset, path.removeprefix("cot/")),),
        boxes=boxes,
        convention=Convention.PIXELS if pixels else Convention.PADDED_UNIT,
        dataset=dataset,
    )


def _kept(dataset: str) -> str:
    """The data set's own name."""
    name = dataset.strip().lower()
    if (name := _ALSO.get(name, name)) not in FOLDERS:
        raise Reject("chart, document or other sub-source", dataset)
    return name


def _places(dataset: str, image: str) -> tuple[str, ...]:
    """Where the picture may lie: a path that does not begin with the data set's folder is taken to be in it."""
    folders = FOLDERS[dataset]
    first, _, rest = image.partition("/")
    below = rest if rest and first in folders else image
    return tuple(f"{folder}/{below}" for folder in folders)


def _unique(value: Any) -> tuple[Box, ...]:
    try:
        return tuple(dict.fromkeys(as_boxes(value))) if value else ()
    except BoxError as error:
        raise Reject("malformed box", str(error)) from None


SOURCE = Source(
    name="visual_cot",
    hub="deepcs233/Visual-CoT",
    licence="apache-2.0",
    files=("metadata/*_cot_train.jsonl", "viscot_363k.json"),
    read=_read,
    exchanges=2,
    image_hub="deepcs233/Visual-CoT",
    archives=("cot_images_tar_split/cot_images_*",),
    parts=frozenset(folder for folders in FOLDERS.values() for folder in folders),
)
