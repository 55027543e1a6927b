"""Boxes in the sources' conventions -> xyxy in raw pixels of the stored image, checked against its size."""

from __future__ import annotations

from enum import Enum
from typing import Any

Box = tuple[float, float, float, float]

OVERHANG = 0.02
"""A box that sticks out of the image by up to this share of the side (at least 2 pixels) is cut, others are wrong."""

LARGEST = 1e9
"""Magnitude of a number that is a coordinate, in any convention."""

MIN_SIDE = 2.0
"""Pixels; a thinner box shows nothing."""


class Convention(Enum):
    """How a source writes x1, y1, x2, y2."""

    PIXELS = "raw pixels"
    """Visual-CoT's `bboxs` and `###` suffix, TreeVGR-RL's `bbox`."""
    UNIT = "0-1 of the image"
    """VGR."""
    THOUSANDTHS = "0-1000 of the image"
    """How Qwen3-VL writes them."""
    PADDED_UNIT = "0-1 of the image centred in a square"
    """The boxes in the conversations of Visual-CoT's JSON: its longer side is 1, the shorter one is padded."""


class BoxError(ValueError):
    """A box that cannot be used."""


def as_boxes(value: Any) -> tuple[Box, ...]:
    """Four numbers are one box, a list of such lists is as many boxes.

    Raises:
        BoxError: when it is neither, or a number is none that a coordinate can be.
    """
    if isinstance(value, list) and value and all(isinstance(part, list) for part in value):
        return tuple(map(_box, value))
    return (_box(value),)


def to_pixels(box: Box, convention: Convention, width: int, height: int) -> Box:
    """The box in raw pixels, corners in order, inside the image.

    Reversed corners are put in order where nothing else can be meant; where the four numbers, read as x, y, width and
    height, would be a box inside the image as well, the box is refused.

    Args:
        box: x1, y1, x2, y2 as the source writes them.
        convention: how that is.
        width: of the image, raw pixels.
        height: of the image, raw pixels.

    Raises:
        BoxError: for a box that is ambiguous, outside the image, or thinner than `MIN_SIDE`.
    """
    x1, y1, x2, y2 = _in_order(_scale(box, convention, width, height), width, height)
    slack_x, slack_y = max(2.0, OVERHANG * width), max(2.0, OVERHANG * height)
    if x1 < -slack_x or y1 < -slack_y or x2 > width + slack_x or y2 > height + slack_y:
        raise BoxError(f"{_text(box)} lies outside the image of {width} x {height} pixels")
    x1, y1, x2, y2 = max(0.0, x1), max(0.0, y1), min(float(width), x2), min(float(height), y2)
    if x2 - x1 < MIN_SIDE or y2 - y1 < MIN_SIDE:
        raise BoxError(f"{_text(box)} is thinner than {MIN_SIDE:g} pixels in the image of {width} x {height}")
    return (x1, y1, x2, y2)


def _box(value: Any) -> Box:
    numbers = value if isinstance(value, list) else []
    if len(numbers) != 4 or not all(isinstance(part, (int, float)) and abs(part) <= LARGEST for part in numbers):
        raise BoxError(f"{repr(value)[:100]} is not four numbers")
    x1, y1, x2, y2 = map(float, numbers)
    return (x1, y1, x2, y2)


def _scale(box: Box, convention: Convention, width: int, height: int) -> Box:
    x1, y1, x2, y2 = box
    if convention in (Convention.UNIT, Convention.THOUSANDTHS):
        x, y = (side / (1 if convention is Convention.UNIT else 1000) for side in (width, height))
        return (x1 * x, y1 * y, x2 * x, y2 * y)
    if convention is Convention.PADDED_UNIT:
        side = max(width, height)
        left, top = (side - width) // 2, (side - height) // 2
        return (x1 * side - left, y1 * side - top, x2 * side - left, y2 * side - top)
    return box


def _in_order(box: Box, width: int, height: int) -> Box:
    x1, y1, x2, y2 = box
    if x1 <= x2 and y1 <= y2:
        return box
    if min(x2, y2) > 0 and x1 + x2 <= width and y1 + y2 <= height:
        raise BoxError(f"{_text(box)} has reversed corners, or is x, y, width, height")
    return (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))


def _text(box: Box) -> str:
    return f"[{', '.join(f'{number:g}' for number in box)}]"
