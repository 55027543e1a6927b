"""Boxes and points in a trace.

Model output is hostile text: every pattern here is linear in its length and no text raises.
"""

from __future__ import annotations

import re

from easyr1_fgrpo.evaluation.styles.style import Point
from easyr1_fgrpo.rewards.response import MAX_BOXES, MAX_COORDINATE, Box

_NUMBER = r"\s*+([0-9]++(?:\.[0-9]++)?+)\s*+"
_POINT = re.compile(rf"\({_NUMBER},{_NUMBER}\)")
_BOX_TAG = re.compile(r"<box>([^<]*+)</box>")
_BOX = re.compile(rf"\[{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}\]")


def points(trace: str) -> tuple[Point, ...]:
    """Every "(x, y)" of two numbers, in order; the first `MAX_BOXES` of them."""
    found: list[Point] = []
    for match in _POINT.finditer(trace):
        x, y = float(match[1]), float(match[2])
        if max(x, y) <= MAX_COORDINATE and len(found) < MAX_BOXES:
            found.append((x, y))
    return tuple(found)


def tagged_boxes(trace: str) -> tuple[Box, ...]:
    """Every [x1,y1,x2,y2] inside closed `<box>` tags, one or several in each; the first `MAX_BOXES` of them.

    A box without area or the wrong way round is left out, as TreeVGR's authors do.
    """
    found: list[Box] = []
    for tag in _BOX_TAG.finditer(trace):
        for match in _BOX.finditer(tag[1]):
            x1, y1, x2, y2 = (float(number) for number in match.groups())
            if x1 < x2 <= MAX_COORDINATE and y1 < y2 <= MAX_COORDINATE and len(found) < MAX_BOXES:
                found.append((x1, y1, x2, y2))
    return tuple(found)
