"""What every prompt style gives: the question in a model's own words, and its response read back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from easyr1_fgrpo.evaluation.benchmarks.item import Item
from easyr1_fgrpo.rewards.response import Box

Point = tuple[float, float]

Coordinates = Literal["pixels", "thousand", "none"]
"""Of boxes and points: pixels of the image as sent (at a size the model's processor keeps), 0 to 1000, or none."""


@dataclass(frozen=True)
class Parsed:
    """What a response says.

    Attributes:
        trace: the reasoning, stripped; None when there is none.
        answer: the final answer, stripped; None when there is none.
        boxes: xyxy, in the style's coordinates, in the order of the trace.
        points: (x, y), in the style's coordinates, in the order of the trace.
        format_ok: the response is exactly what the style asks for.
        n_boxes: boxes with malformed ones counted, N of FGRPO Eq. 1; None where a style counts only `boxes`.
    """

    trace: str | None
    answer: str | None
    boxes: tuple[Box, ...] = ()
    points: tuple[Point, ...] = ()
    format_ok: bool = False
    n_boxes: int | None = None


class Style(Protocol):
    """How one family of models is asked and read."""

    @property
    def name(self) -> str:
        """Registry name."""

    @property
    def prefill(self) -> str:
        """What the assistant turn starts with, "" for most; the response may come without it."""

    @property
    def coordinates(self) -> Coordinates:
        """The convention of boxes and points."""

    @property
    def pixels(self) -> tuple[int, int] | None:
        """Least and most pixels of an image that the model was made for; None when not known."""

    def messages(self, item: Item, n_images: int) -> list[dict[str, Any]]:
        """Chat messages.

        Args:
            item: its question and choices are used.
            n_images: how many images are sent.

        Returns:
            `{"role": "system", "content": text}` where the style has a system turn, then a user turn whose content is a
            list of parts: `{"type": "text", "text": ...}` and `{"type": "image", "index": i}`, i from 0.
        """

    def parse(self, response: str, choices: Sequence[str] = ()) -> Parsed:
        """Read a response, with or without the prefill before it. Never raises; linear in the text's length.

        Args:
            response: without the end tokens of a chat template.
            choices: the options' texts in order; they tell an answer from the words after it.
        """
