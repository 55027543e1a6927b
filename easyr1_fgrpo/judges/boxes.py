"""Boxes in text, from the policy's pixels to the convention a judge knows.

Qwen2.5-VL writes pixels of the image it is shown, Qwen3-VL thousandths of its sides.
"""

from __future__ import annotations

import re
from functools import lru_cache

Box = tuple[float, float, float, float]
Size = tuple[int, int]

MAX_COORDINATE = 1e6
"""Largest magnitude of a coordinate in pixels; a box beyond it is malformed, as it is for the spatial reward."""

# No pattern can match a stretch of text in two ways, so hostile text costs linear time.
_TAG = re.compile(r"<bbox>[^<]*+</bbox>")
_LIST = re.compile(r"\[([^\[\]]*+)\]")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")


def plain_boxes(text: str, size: Size | None = None) -> str:
    """Write every `<bbox>[x1,y1,x2,y2]</bbox>` as `[x1, y1, x2, y2]`.

    A tag may hold several boxes. One that holds none, or a malformed one (other than four numbers, reversed), stays.

    Args:
        text: any string; its boxes are pixels.
        size: width and height in pixels of the image in whose thousandths the boxes are written; None leaves pixels.
    """
    return _TAG.sub(lambda tag: _plain(tag[0], size), text)


def pixel_boxes(text: str, size: Size) -> str:
    """Bring boxes a policy wrote in thousandths to pixels, their tags kept; what is no box stays as it is.

    Args:
        text: any string with `<bbox>[x1,y1,x2,y2]</bbox>` tags.
        size: width and height in pixels of the image the boxes are on.
    """
    return _TAG.sub(lambda tag: _LIST.sub(lambda found: _in_pixels(found, size), tag[0]), text)


def to_thousand(box: Box, size: Size) -> tuple[int, int, int, int]:
    """Pixels to thousandths of width and height, rounded."""
    (x1, y1, x2, y2), (width, height) = box, size
    return (
        round(x1 * 1000 / width),
        round(y1 * 1000 / height),
        round(x2 * 1000 / width),
        round(y2 * 1000 / height),
    )


def to_pixels(box: Box, size: Size) -> Box:
    """Thousandths of width and height to pixels, not rounded."""
    (x1, y1, x2, y2), (width, height) = box, size
    return (x1 * width / 1000, y1 * height / 1000, x2 * width / 1000, y2 * height / 1000)


@lru_cache(maxsize=512)  # the sentences of a trace are asked about with ever the same boxes before them
def _plain(tag: str, size: Size | None) -> str:
    content = tag.removeprefix("<bbox>").removesuffix("</bbox>")
    boxes = [_box(coordinates) for coordinates in _LIST.findall(content)]
    if not boxes or None in boxes:
        return tag
    written = iter([_written(box, size) for box in boxes if box is not None])
    return _LIST.sub(lambda _: next(written), content)


def _in_pixels(found: re.Match[str], size: Size) -> str:
    box = _box(found[1])
    if box is None:
        return found[0]
    return f"[{','.join(f'{number:.15g}' for number in to_pixels(box, size))}]"


def _written(box: Box, size: Size | None) -> str:
    numbers = box if size is None else to_thousand(box, size)
    return f"[{', '.join(f'{number:.15g}' for number in numbers)}]"


def _box(coordinates: str) -> Box | None:
    """`x1,y1,x2,y2`, or None when that is no box."""
    parts = [part.strip() for part in coordinates.split(",", maxsplit=4)]
    if len(parts) != 4 or not all(map(_NUMBER.fullmatch, parts)):
        return None
    x1, y1, x2, y2 = map(float, parts)
    within = all(abs(value) <= MAX_COORDINATE for value in (x1, y1, x2, y2))
    return (x1, y1, x2, y2) if within and x1 <= x2 and y1 <= y2 else None
