"""Options as they are published: as letters, and inside the text of the question."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from string import ascii_uppercase

_LETTER = re.compile(r"\(?([A-Za-z])[).]?")
_LINE_MARK = re.compile(r"^[ \t]*+([A-Z])\.\s+", re.MULTILINE)
_INLINE_MARK = re.compile(r"(?<!\S)([A-Z])\.\s+")


def by_letter(letter: str, choices: Sequence[str]) -> str:
    """The option that "C", "(C)", "c)" or "C." names.

    Raises:
        ValueError: when it is no letter, or that of no option.
    """
    match = _LETTER.fullmatch(letter.strip())
    index = ascii_uppercase.index(match[1].upper()) if match else len(choices)
    if index >= len(choices):
        raise ValueError(f"answer {letter!r} names none of the {len(choices)} choices")
    return choices[index]


def split_options(question: str) -> tuple[str, tuple[str, ...]]:
    """A question with its options as "A. text B. text" at its end, taken apart.

    Each option begins a line, or all stand in one. They begin at the last "A." that a "B." follows; each next letter in
    order begins the next option.

    Returns:
        The question without options, and their texts; none when it has no options.
    """
    for pattern in (_LINE_MARK, _INLINE_MARK):
        if marks := _option_marks(list(pattern.finditer(question))):
            return question[: marks[0].start()].strip(), texts_after(marks, question)
    return question.strip(), ()


def texts_after(marks: Sequence[re.Match[str]], text: str) -> tuple[str, ...]:
    """What stands behind each mark, up to the next one or the end."""
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    return tuple(text[mark.end() : end].strip() for mark, end in zip(marks, ends, strict=False))


def _option_marks(marks: list[re.Match[str]]) -> list[re.Match[str]]:
    firsts = [index for index, (mark, after) in enumerate(pairwise(marks)) if (mark[1], after[1]) == ("A", "B")]
    taken: list[re.Match[str]] = []
    for mark in marks[firsts[-1] :] if firsts else ():
        if len(taken) < len(ascii_uppercase) and mark[1] == ascii_uppercase[len(taken)]:
            taken.append(mark)
    return taken
