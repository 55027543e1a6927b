"""Boxes: raw pixels in the tree, the teacher's convention in its prompts, the policy's in the traces."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from easyr1_fgrpo.judges.boxes import Box, Size, to_pixels, to_thousand

FACTOR = 28
"""Sides of a picture as Qwen2.5-VL sees it are multiples of it: patches of 14 pixels, two by two merged."""

MAX_ASPECT = 200
"""Longest side by shortest that these models take."""


class Convention(StrEnum):
    """How a model writes boxes: pixels of the picture at the size it sees (Qwen2.5-VL), or thousandths (Qwen3-VL)."""

    PIXELS = "pixels"
    THOUSAND = "thousand"


@dataclass(frozen=True)
class PixelBudget:
    """Bounds of a picture's area in pixels; the defaults are those of training and evaluation here (`fgrpo.images`).

    Training and inference must see pictures within the same budget, or boxes in pixels mean something else.
    """

    least: int = 56 * 56
    most: int = 2048 * 2048

    def __post_init__(self) -> None:
        if not FACTOR**2 <= self.least <= self.most:
            raise ValueError(
                f"--min-pixels {self.least} --max-pixels {self.most}: at least {FACTOR**2}, and the first the smaller"
            )

    def seen(self, raw: Size) -> Size:
        """The size at which a model of the Qwen2-VL family sees a picture, width and height in pixels.

        Both sides to the nearest multiple of `FACTOR`; outside of the budget the area is scaled to its nearest bound
        and the sides rounded inwards. It equals `smart_resize` of transformers, whose import would take seconds.

        Raises:
            ValueError: for a picture narrower than these models take.
        """
        if max(raw) > MAX_ASPECT * min(raw):
            raise ValueError(f"a picture of {raw[0]} x {raw[1]} pixels is more than {MAX_ASPECT} times as long as wide")
        width, height = (round(side / FACTOR) * FACTOR for side in raw)
        if width * height > self.most:
            shrink = math.sqrt(raw[0] * raw[1] / self.most)
            width, height = (max(FACTOR, math.floor(side / shrink / FACTOR) * FACTOR) for side in raw)
        elif width * height < self.least:
            grow = math.sqrt(self.least / (raw[0] * raw[1]))
            width, height = (math.ceil(side * grow / FACTOR) * FACTOR for side in raw)
        return width, height


@dataclass(frozen=True)
class Frame:
    """How boxes on a picture are written.

    Attributes:
        raw: width and height of the picture as stored, pixels.
        seen: of the same picture as the model sees it, pixels.
        convention: the model's.
    """

    raw: Size
    seen: Size
    convention: Convention

    def written(self, box: Box) -> tuple[int, int, int, int]:
        """A box in raw pixels as the model writes it, rounded to whole numbers; the one way from trees to traces."""
        if self.convention is Convention.THOUSAND:
            return to_thousand(box, self.raw)
        x, y = self.seen[0] / self.raw[0], self.seen[1] / self.raw[1]
        x1, y1, x2, y2 = box
        return round(x1 * x), round(y1 * y), round(x2 * x), round(y2 * y)

    def read(self, box: Box) -> Box:
        """A box that the model wrote, in raw pixels; the way back."""
        if self.convention is Convention.THOUSAND:
            return to_pixels(box, self.raw)
        x, y = self.raw[0] / self.seen[0], self.raw[1] / self.seen[1]
        x1, y1, x2, y2 = box
        return x1 * x, y1 * y, x2 * x, y2 * y
