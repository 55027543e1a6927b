"""Untrusted text as a JSON string literal: it can neither close its quotes nor be taken for markup.

Tokenizers find the tokens of a chat template (`<|im_end|>`, `<s>`, `[INST]`) wherever they stand in a text; in a fenced
text there are none.
"""

from __future__ import annotations

import json
import re
import unicodedata
from itertools import accumulate, takewhile

SHORTEST_LIMIT = 200
"""Characters; below it there would be no room for the note that something was left out."""

# Decisions look at most one character ahead, so that the fence of a text that grows only grows. Numbers and lists of
# numbers stay readable after an opening bracket; a quote there is the end of the text.
_OPENING_A_MARKER = re.compile(r'\[(?![0-9+\-. \["])')  # [INST], [/INST], [gMASK]
_CLOSING_A_MARKER = re.compile(r"\](?=[~!])")  # MiniMax: ]~b]
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_AFTER_ESCAPE = re.compile(r'(\A"|\\u[0-9a-f]{4}|\\["\\bfnrt])([^\x00-\x7f]+)')
_PIECE = re.compile(r"\\ud[89ab]..\\ud[c-f]..|\\u....|\\.|.")  # what stands for one character

# What Unicode normalisation turns into < or [.
_BRACKETS_IN_DISGUISE = frozenset(map(ord, "≮﹤＜﹇［"))

# Invisible without being of a category C: fillers, joiners, variation selectors, separators of lines and paragraphs,
# the blank Braille pattern, the object replacement character.
_INVISIBLE = frozenset(
    [
        *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2028, 0x2029, 0x2800, 0x3164, 0xFFA0, 0xFFFC),
        *(*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)),
    ]
)


def fence(text: str, limit: int) -> str:
    r"""Write a text as a JSON string literal of at most `limit` characters.

    Markup (`<`, a `[` before a word), control and invisible characters become `\uXXXX`; ordinary text in any script
    stays as it is. `json.loads` gives the text back, as long as it was not cut (two lone surrogates that form a pair
    come back as the character they encode). The literal of a longer text starts like that of a shorter one, its
    closing quote aside, unless a bracket ends the shorter one or the longer one is cut.

    Args:
        text: any string.
        limit: of the literal, in characters, quotes included. The middle of a text that is longer is left out, with a
            note of how many characters.

    Raises:
        ValueError: when `limit` is below `SHORTEST_LIMIT`.
    """
    if limit < SHORTEST_LIMIT:
        raise ValueError(f"limit={limit}: at least {SHORTEST_LIMIT} characters")
    if len(text) <= limit and len(literal := _literal(text)) <= limit:
        return literal
    room = (limit - 80) // 2
    head = _fitting(_PIECE.findall(_literal(text[:room])[1:-1]), room)
    tail = _fitting(_PIECE.findall(_literal(text[-room:])[1:-1])[::-1], room)[::-1]
    note = f" [... {len(text) - len(head) - len(tail)} characters left out ...] "
    return f'"{"".join(head)}{note}{"".join(tail)}"'


def _fitting(pieces: list[str], room: int) -> list[str]:
    return [piece for piece, end in zip(pieces, accumulate(map(len, pieces)), strict=True) if end <= room]


def _literal(text: str) -> str:
    literal = json.dumps(text, ensure_ascii=False).replace("<", "\\u003c").replace("\x7f", "\\u007f")
    literal = _OPENING_A_MARKER.sub(r"\\u005b", literal)
    literal = _CLOSING_A_MARKER.sub(r"\\u005d", literal)
    if literal.isascii():
        return literal
    return _AFTER_ESCAPE.sub(_escape_marks, _NOT_ASCII.sub(lambda run: run[0].translate(_ESCAPES), literal))


class _Escapes(dict[int, str]):
    """Code point to what stands for it, found out at first use."""

    def __missing__(self, code: int) -> str:
        # Categories C: control, format (zero-width, bidirectional, tags), surrogate, private, unassigned.
        hidden = unicodedata.category(chr(code)).startswith("C") or code in _INVISIBLE
        piece = _code(chr(code)) if hidden or code in _BRACKETS_IN_DISGUISE else chr(code)
        if code < 0x10000:  # the rest of Unicode is rare, and too much to keep
            self[code] = piece
        return piece


_ESCAPES = _Escapes()


def _escape_marks(found: re.Match[str]) -> str:
    r"""Escape combining marks after an escape: normalised, the c of `\u003c` and a cedilla would be one letter."""
    escape, run = found.groups()
    marks = "".join(takewhile(lambda char: unicodedata.category(char).startswith("M"), run))
    return escape + "".join(map(_code, marks)) + run[len(marks) :]


def _code(char: str) -> str:
    r"""`\uXXXX`, for astral characters a surrogate pair."""
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))
