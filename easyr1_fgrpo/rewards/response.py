"""The response grammar: `<think>trace</think><answer>answer</answer>` with `<bbox>[x1,y1,x2,y2]</bbox>` in the trace.

Model output is hostile text: every pattern here is linear in its length and no text raises.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from easyr1_fgrpo.chat_marks import first_turn, without_boxes, without_end_tokens

Box = tuple[float, float, float, float]

MAX_BOXES = 1000
"""So many boxes are read from a trace; further ones are only counted in N, so that flooding can only lower R_G."""

MAX_COORDINATE = 1e6
"""Largest magnitude of a coordinate, in pixels; beyond it squared distances lose their meaning."""

_SECTION_TAG = re.compile(r"</?(?:think|answer)>")
_WELL_FORMED = ["<think>", "</think>", "<answer>", "</answer>"]
_BOX_TAG = re.compile(r"<bbox>([^<]*)(</bbox>)?")
_BOX_LIST = re.compile(r"\[([^\[\]]*)\]")
_COORDINATE = re.compile(r"\s*[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*")


@dataclass(frozen=True)
class ParsedResponse:
    """What a response says.

    Attributes:
        well_formed: the whole response is one think section and one answer section, both with content, and nothing
            else but white space (R_fmt).
        trace: the reasoning, stripped; None when there is none.
        answer: the final answer, stripped; None when there is none.
        boxes: the usable boxes of the trace as (x1, y1, x2, y2), finite, x1 <= x2, y1 <= y2; at most `MAX_BOXES`.
        n_boxes: N of FGRPO Eq. 1: every predicted box, the unusable ones and those past `MAX_BOXES` included.
    """

    well_formed: bool
    trace: str | None
    answer: str | None
    boxes: tuple[Box, ...]
    n_boxes: int

    @property
    def parsable(self) -> bool:
        """Whether there are a trace and an answer to judge."""
        return self.trace is not None and self.answer is not None


def parse_response(text: str) -> ParsedResponse:
    """Read a response, leniently where the format is not perfect.

    The answer is the content of the last `<answer>` that is closed before any other section tag opens. The trace runs
    from the first `<think>` (or the start of the response, as some chat templates write that tag into the prompt) to
    the last `</think>` before the answer; without a closing tag it runs to the answer, or to the end of the response.
    A response without any think tag before the answer has no trace. A blank trace or answer counts as none. What chat
    templates end a turn with is no part of the response; a further turn is none either, and costs the format.

    Args:
        text: the decoded response; any string.

    Returns:
        The parsed response. Never raises.
    """
    whole = without_end_tokens(text)
    text = first_turn(whole)
    tags = list(_SECTION_TAG.finditer(text))
    names = [tag.group() for tag in tags]

    answer, reasoning_end = None, len(text)
    for i in range(len(tags) - 2, -1, -1):
        if names[i : i + 2] == ["<answer>", "</answer>"]:
            answer = without_boxes(text[tags[i].end() : tags[i + 1].start()]).strip() or None
            reasoning_end = tags[i].start()
            break

    trace = _find_trace(text, [tag for tag in tags if tag.start() < reasoning_end], reasoning_end)
    boxes, n_boxes = _parse_boxes(trace or "")
    return ParsedResponse(
        well_formed=text == whole
        and names == _WELL_FORMED
        and not _outside(text, tags)
        and None not in (trace, answer),
        trace=trace,
        answer=answer,
        boxes=boxes,
        n_boxes=n_boxes,
    )


def _find_trace(text: str, tags: list[re.Match[str]], end: int) -> str | None:
    """The reasoning among the tags before `end`."""
    opening = next((tag.end() for tag in tags if tag.group() == "<think>"), None)
    start = opening or 0
    closing = next((tag.start() for tag in reversed(tags) if tag.group() == "</think>" and tag.start() >= start), None)
    if opening is None and closing is None:
        return None
    return text[start : end if closing is None else closing].strip() or None


def _outside(text: str, tags: list[re.Match[str]]) -> str:
    """What a response of two sections holds outside them."""
    before, between, after = text[: tags[0].start()], text[tags[1].end() : tags[2].start()], text[tags[3].end() :]
    return (before + between + after).strip()


def _parse_boxes(trace: str) -> tuple[tuple[Box, ...], int]:
    """Usable boxes and the number of all predicted boxes.

    Every innermost bracket pair of a `<bbox>` tag is one predicted box; a tag that is not closed or holds no bracket
    pair is one too. A box without four finite numbers, or reversed (x2 < x1 or y2 < y1), is unusable: it counts in N
    and overlaps nothing, so a malformed box can only lower R_G.
    """
    boxes: list[Box] = []
    n_boxes = 0
    for tag in _BOX_TAG.finditer(trace):
        lists = _BOX_LIST.findall(tag[1]) if tag[2] else []
        n_boxes += max(1, len(lists))
        for coordinates in lists:
            if len(boxes) < MAX_BOXES and (box := _parse_box(coordinates)) is not None:
                boxes.append(box)
    return tuple(boxes), n_boxes


def _parse_box(coordinates: str) -> Box | None:
    """`x1, y1, x2, y2` as integers or decimals, or None when that is no box."""
    parts = coordinates.split(",", maxsplit=4)
    if len(parts) != 4 or not all(_COORDINATE.fullmatch(part) for part in parts):
        return None
    x1, y1, x2, y2 = (float(part) for part in parts)
    within = all(math.isfinite(v) and abs(v) <= MAX_COORDINATE for v in (x1, y1, x2, y2))
    return (x1, y1, x2, y2) if within and x1 <= x2 and y1 <= y2 else None
