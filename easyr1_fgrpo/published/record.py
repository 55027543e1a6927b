"""A record of a published file, or what stands in its place; values that a cell holds as text."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from typing import Any

_NO_COMMA = re.compile(r"""(?<=['"])\s+(?=['"])|(?<=[\d.])\s+(?=[-\d])|(?<=\])\s+(?=\[)""")
"""Between the members of a list as NumPy writes it."""


@dataclass(frozen=True)
class Malformed:
    """What stands in a file where a record should, and why it is none."""

    detail: str


Record = dict[str, Any] | Malformed


def written_value(text: str) -> Any:
    """A list or an object that a cell holds as text: as JSON, as Python or as NumPy writes it (`['left' 'right']`).

    Raises:
        ValueError: when it is none.
    """
    apart = _NO_COMMA.sub(", ", text)  # Python would join the two texts
    for read, written in ((json.loads, text), (ast.literal_eval, apart)):
        try:
            return read(written)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    raise ValueError(f"{text[:100]!r} is no list and no object")


def first_line(error: Exception) -> str:
    """What an error says in one line: its first, or its kind."""
    return next(iter(str(error).splitlines()), type(error).__name__)
