"""VGR (hub `BytedanceDouyinContent/VGR`, CC0): LLaVA-NeXT questions whose answers look at regions.

Boxes stand in the assistant's text only, `<SOT>[x1, y1, x2, y2]<EOT><image>`, 0-1 of the image as it is. They were made
by a model and deliberately enlarged. The release has stray `<image>` marks (ignored) and orphan `<SOT>` or `<EOT>`: a
box counts only between the two. The long traces are read; the short ones are the same questions, rewritten.

Pictures are LLaVA-NeXT's (hub `lmms-lab/LLaVA-NeXT-Data`). Kept are GQA and COCO. AI2D (diagrams), ChartQA and DVQA
(charts), DocVQA and OCRVQA (documents, book covers) are dropped, as FGRPO section A.3 drops charts, tables and visual
mathematics; so is anything not named here.
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
from easyr1_fgrpo.chat_marks import without_end_tokens

KEPT = frozenset({"gqa", "coco"})
"""First folder of an image's path."""

_REGION = re.compile(r"<SOT>([^<]*)<EOT>", re.IGNORECASE)
_ANSWER = re.compile(r"final answer(?:[*_ ]*[:：]|[*_ ]* is\b[:：]?|[*_ ]*\n)", re.IGNORECASE)
_MARKS = re.compile(r"</?(?:SOT|EOT|image)>", re.IGNORECASE)
_MATH = re.compile(r"\\[\[\]()]|\$\$")


class _Turn(BaseModel):
    speaker: str = Field(alias="from")
    value: str


class _Record(BaseModel):
    image: str
    conversations: list[_Turn] = Field(min_length=2)


def _read(record: dict[str, Any]) -> Item:
    row = _Record.model_validate(record)
    parts = [part for part in row.image.split("/") if part != "images"] or [""]
    if parts[0] not in KEPT:
        raise Reject("chart, document or other sub-source", parts[0])
    asked, reply = row.conversations[0].value, row.conversations[1].value
    question, choices, answer = question_and_answer(asked, _final_answer(reply))
    return Item(
        question=question,
        answer=answer,
        choices=choices,
        images=((row.image,),),
        boxes=_boxes(reply),
        convention=Convention.UNIT,
        dataset=parts[0],
    )


def _final_answer(reply: str) -> str:
    """What follows the last announcement: the rest of its line, else the next line, without regions."""
    said = [found.end() for found in _ANSWER.finditer(reply)]
    if not said:
        raise Reject("no answer", "the trace has no 'Final answer:'")
    text = _MATH.sub(" ", _MARKS.sub(" ", _REGION.sub(" ", without_end_tokens(reply[said[-1] :]))))
    lines = [line.strip(" \t>#_") for line in text.splitlines()]
    line = next((line for line in lines if line.strip("*")), "")
    if line.count("**") % 2:  # the announcement is in the same stars
        line = line.removeprefix("**") if line.startswith("**") else line.rstrip(".").removesuffix("**")
    return line


def _boxes(reply: str) -> tuple[Box, ...]:
    """Every region of the trace once, in order of appearance."""
    try:
        found = [box for text in _REGION.findall(reply) for box in as_boxes(json.loads(text))]
    except (BoxError, ValueError) as error:
        raise Reject("malformed box", str(error)) from None
    return tuple(dict.fromkeys(found))


SOURCE = Source(
    name="vgr",
    hub="BytedanceDouyinContent/VGR",
    licence="cc0-1.0",
    files=("data/vgr_longcot.parquet", "data/vgr_shortcot.parquet"),
    read=_read,
    exchanges=1,
    image_hub="lmms-lab/LLaVA-NeXT-Data",
    archives=("llava_next_raw_format/llava_next_raw_format_images_*.tar.gz",),
    parts=KEPT,
)
