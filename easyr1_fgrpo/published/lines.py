"""Lines of files that anybody may have written, none read further than a record can be long."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import IO

MAX_RECORD = 256 << 20
"""Bytes of a record in a text file. Several pictures in base64 are tens of MB; a gigabyte without an end is none."""


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers from 1; of one longer than `MAX_RECORD` one byte more than that.

    Raises:
        OSError: when the file cannot be read.
    """
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_RECORD + 1):
            number += 1
            piece = line
            while len(piece) > MAX_RECORD and not piece.endswith(b"\n"):
                piece = file.readline(MAX_RECORD + 1)
            if not line.isspace():
                yield number, line


def text_lines(file: IO[str]) -> Iterator[str]:
    """The lines of an open file, longer ones than `MAX_RECORD` in pieces."""
    while line := file.readline(MAX_RECORD):
        yield line


def encoding_of(path: Path) -> str:
    """UTF-16 where the file begins with its mark, as Excel's Unicode text does; else UTF-8, with or without one."""
    with path.open("rb") as file:
        return "utf-16" if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
