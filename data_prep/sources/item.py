"""What a source says about one question, before pictures are opened and boxes converted."""

from __future__ import annotations

from dataclasses import dataclass

from data_prep.sources.boxes import Box, Convention

ImageRef = bytes | tuple[str, ...]
"""An encoded picture, or where it may lie below the folder of pictures: the first of these paths that is there."""


class Reject(ValueError):  # noqa: N818 (no error of the program: a row that is left out, and why)
    """A row that cannot be used.

    Attributes:
        reason: one of a small set, to be counted.
        detail: what is wrong with this one.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail[:300]


@dataclass(frozen=True, slots=True)
class Item:
    """One question of a source.

    Attributes:
        question: as the model shall read it, without image marks and options.
        answer: the right option's text where there are choices.
        images: at least one.
        choices: the options' texts; empty for an open-ended question.
        shuffle: whether the order of choices gives the answer away.
        boxes: of the first image, in `convention`.
        convention: how `boxes` are written.
        size: width and height of the first image according to the source, None where it says nothing.
        dataset: the part of the source the question comes from.
        question_type: the source's own label.
    """

    question: str
    answer: str
    images: tuple[ImageRef, ...]
    choices: tuple[str, ...] = ()
    shuffle: bool = False
    boxes: tuple[Box, ...] = ()
    convention: Convention = Convention.PIXELS
    size: tuple[int, int] | None = None
    dataset: str = ""
    question_type: str = ""
