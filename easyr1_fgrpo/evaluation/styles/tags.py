"""`<think>` and `<answer>` sections as the baselines write them, read leniently.

Model output is hostile text: every pattern here is linear in its length and no text raises.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

_TAG = re.compile(r"</?(?:think|answer)>")
_WELL_FORMED = ["<think>", "</think>", "<answer>", "</answer>"]


_LEAD = re.compile(
    r"(?:\s|(?<![\w.!?)\]])[*_`#$>]|<answer>|\\text\{|\\[(\[]|[,;:–—，；：]|(?<=\s)-|(?<![^\n])\d{1,2}[.)](?=\s)"
    r"|\b(?:so|thus|therefore|hence|then|and|finally|overall|ultimately|consequently|in conclusion|in summary)\b"
    r"|\b(?:to conclude|as a result|i think|i believe|i conclude|we conclude|this means|which means|it follows)\b"
    r"|\b(?:that|the|my|our)\b|所以|因此|故"
    r"|\bbased on [^.\n,]{1,80},"
    r"|\b(?:(?:final|correct|right|best) )*(?:answer|option|choice) is\b|\b(?:final |correct )?answer(?=\W*:))*+\Z",
    re.IGNORECASE,
)
_LEAD_CLAUSE = re.compile(
    r"(?:(?<=[.!?]\s)|(?<=[\n,])|\A)[^.!?,\n]*?\b(?:answer|option|choice)s?\b[^.!?,\n]*?(?::|\bis|\bbe)[\s*_#`$]*\Z",
    re.IGNORECASE,
)
"""Like "the closest option to that value is:"."""

_LEAD_LENGTH = 160
"""So many characters before an answer are looked at."""


@dataclass(frozen=True)
class Section:
    """The content of an `<answer>`, stripped, and where its opening tag starts."""

    text: str
    start: int


def answer_sections(text: str, start: int = 0) -> list[Section]:
    """Every `<answer>` from `start` on that is closed before another tag opens, so that a tag merely mentioned is none.

    Where there is none, the last `<answer>`, if no other tag follows it, runs to the end of the text. Blank ones count
    as none.
    """
    tags = list(_TAG.finditer(text, start))
    sections = [
        Section(text[opening.end() : closing.start()].strip(), opening.start())
        for opening, closing in pairwise(tags)
        if (opening.group(), closing.group()) == ("<answer>", "</answer>")
    ]
    if not sections and tags and tags[-1].group() == "<answer>":
        sections = [Section(text[tags[-1].end() :].strip(), tags[-1].start())]
    return [section for section in sections if section.text]


def final_sections(text: str) -> list[Section]:
    """The answer sections behind all thinking; where that never ends, those that are closed."""
    begin = max((text.rfind(tag) + len(tag) for tag in ("<think>", "</think>") if tag in text), default=0)
    if after_think(text) == len(text) and text.find("</answer>", begin) < 0:
        return []
    return answer_sections(text, begin)


def trace_before(text: str, end: int) -> str | None:
    """The reasoning in `text[:end]`: from the first `<think>`, or the start, to the last `</think>`, or `end`.

    Where an answer starts at `end`, the words that lead to it ("So the", "**", "Therefore, the answer is") are no part.
    """
    tags = [tag for tag in _TAG.finditer(text, 0, end) if "think" in tag.group()]
    start = next((tag.end() for tag in tags if tag.group() == "<think>"), 0)
    close = next((tag.start() for tag in reversed(tags) if tag.group() == "</think>" and tag.start() >= start), None)
    if close is None:
        close = _before_lead(text, start, end) if end < len(text) else end
    return text[start:close].strip() or None


def _before_lead(text: str, start: int, end: int) -> int:
    """Where the words begin that lead to what starts at `end`."""
    begin = max(start, end - _LEAD_LENGTH)
    for pattern in (_LEAD_CLAUSE, _LEAD):
        if lead := pattern.search(text[begin:end]):
            end = begin + lead.start()
    return end


def after_think(text: str) -> int:
    """Where the text behind thinking starts: after the last `</think>`, or 0; the end where thinking never ends."""
    if text.rfind("<think>") > text.rfind("</think>"):
        return len(text)
    _, tag, after = text.rpartition("</think>")
    return len(text) - len(after) if tag else 0


def well_formed(text: str) -> bool:
    """Whether the text is one think and one answer section, both with content, and white space."""
    tags = list(_TAG.finditer(text))
    if [tag.group() for tag in tags] != _WELL_FORMED:
        return False
    opened, thought, asked, answered = tags
    outside = text[: opened.start()] + text[thought.end() : asked.start()] + text[answered.end() :]
    inside = (text[opened.end() : thought.start()].strip(), text[asked.end() : answered.start()].strip())
    return not outside.strip() and all(inside)
