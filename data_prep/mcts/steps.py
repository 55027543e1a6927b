"""One step of reasoning: read from what a teacher replies, which is hostile text, and written for others."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from pydantic import BaseModel, ConfigDict

from data_prep.mcts.coordinates import Frame
from easyr1_fgrpo.judges.boxes import Box, Size
from easyr1_fgrpo.normal_form import normalize_answer

MAX_REPLY = 2000
"""Characters of a reply; a longer one is no step."""

MAX_BOXES = 8
"""Boxes of a step."""

OVERSHOOT = 0.02
"""Share of a side by which a box may reach over the picture's edge, where it is cut; one that reaches further was
written in another convention or is made up."""

_BOX_TAG = re.compile(r"<bbox>([^<]*)</bbox>")
_ANSWER_AT_END = re.compile(r"<answer>([^<]*)</answer>\Z")
_MARKUP = re.compile(r"<[A-Za-z/|!?]")  # section tags, <image>, <|im_end|>
_NUMBER = re.compile(r"\s*-?[0-9]{1,6}(?:\.[0-9]{0,6})?\s*")


class BadReply(Exception):  # noqa: N818 - the normal course of things with a model
    """A reply that is no step; the message is one of a small set of reasons."""


class Step(BaseModel):
    """A thought, an answer, or a thought that ends in one.

    Attributes:
        text: the thought in one line, boxes as `<bbox>[x1,y1,x2,y2]</bbox>` in raw pixels; "" for none.
        answer: as the teacher wrote it; None when the reasoning goes on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    answer: str | None = None

    @property
    def boxes(self) -> tuple[Box, ...]:
        """In raw pixels, in their order."""
        return tuple(_numbers(tag) for tag in _BOX_TAG.findall(self.text))

    @property
    def identity(self) -> tuple[object, ...]:
        """What makes two steps the same: a final one's answer, else the boxes to the pixel, whatever the words."""
        if self.answer is not None:
            return ("answer", normalize_answer(self.answer))
        return tuple(tuple(map(round, box)) for box in self.boxes)


def read_step(reply: str, frame: Frame) -> Step:
    """What a teacher says: `<think>one thought with a box</think>`, or `<answer>text</answer>`, a thought before it.

    Args:
        reply: any text.
        frame: how the teacher writes boxes.

    Raises:
        BadReply: when that is no step.
    """
    if len(reply) > MAX_REPLY:
        raise BadReply("too long")
    text = " ".join(reply.split())
    if not text:
        raise BadReply("empty")
    if any(unicodedata.category(char).startswith("C") for char in text):
        raise BadReply("holds hidden characters")
    answer = _ANSWER_AT_END.search(text)
    thought = text[: answer.start()] if answer else text
    thought = thought.strip().removeprefix("<think>").removesuffix("</think>").strip()
    if _MARKUP.search(_BOX_TAG.sub("", thought)):
        raise BadReply("holds markup that is no box")
    tags = _BOX_TAG.findall(thought)
    if len(tags) > MAX_BOXES:
        raise BadReply("holds too many boxes")
    if not tags and not answer:
        raise BadReply("holds no box")
    if answer and not normalize_answer(answer[1]):
        raise BadReply("answers nothing")
    in_raw_pixels = map_boxes(thought, lambda box: _inside(frame.read(box), frame.raw))
    return Step(text=in_raw_pixels, answer=answer[1].strip() if answer else None)


def map_boxes(text: str, convert: Callable[[Box], Box]) -> str:
    """The text with every box converted, two decimals at most.

    Raises:
        BadReply: when a tag holds no box, or a converted one has no area.
    """

    def converted(tag: re.Match[str]) -> str:
        x1, y1, x2, y2 = (round(value, 2) for value in convert(_numbers(tag[1])))
        if x1 >= x2 or y1 >= y2:
            raise BadReply("holds a box without area")
        return f"<bbox>[{','.join(f'{value:.2f}'.rstrip('0').rstrip('.') for value in (x1, y1, x2, y2))}]</bbox>"

    return _BOX_TAG.sub(converted, text)


def _numbers(content: str) -> Box:
    """`[x1, y1, x2, y2]`."""
    parts = content.strip().removeprefix("[").removesuffix("]").split(",", maxsplit=4)
    if len(parts) != 4 or not all(map(_NUMBER.fullmatch, parts)):
        raise BadReply("holds a box that is none")
    x1, y1, x2, y2 = map(float, parts)
    return x1, y1, x2, y2


def _inside(box: Box, size: Size) -> Box:
    """The box cut at the picture's edges."""
    limits = (*size, *size)
    if any(
        not -OVERSHOOT * limit <= value <= (1 + OVERSHOOT) * limit for value, limit in zip(box, limits, strict=True)
    ):
        raise BadReply("holds a box outside of the picture")
    x1, y1, x2, y2 = (min(max(0.0, value), float(limit)) for value, limit in zip(box, limits, strict=True))
    return x1, y1, x2, y2
