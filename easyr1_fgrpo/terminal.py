"""What goes to a terminal: text of files, names and servers made fit for one, and progress."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, TextIO

from tqdm import tqdm

LINE_S = 30.0
"""Seconds between two lines of a bar that nobody watches."""

_LINE = "{desc}: {n_fmt}/{total_fmt} {unit} [{elapsed}<{remaining}, {rate_fmt}{postfix}]"
_SHORT_S = 10.0
"""What takes less needs no line in a log."""


def printable(text: str) -> str:
    """The text in one line, without characters that a terminal would act on: those are written as escapes."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def progress_bar(
    iterable: Iterable[Any] | None = None, *, file: TextIO | None = None, delay: float | None = None, **options: Any
) -> tqdm[Any]:
    """Tqdm's bar on a terminal; in a log, where its carriage returns would be thousands of characters, a line at times.

    Args:
        iterable: as of `tqdm`.
        file: where it is shown, stderr when left out.
        delay: seconds before anything is shown; when left out 0, in a log 10.
        options: others of `tqdm`.
    """
    file = file or sys.stderr
    if file.isatty():
        return tqdm(iterable, file=file, delay=delay or 0.0, **options)
    unseen = {"bar_format": _LINE, **options, "mininterval": LINE_S, "maxinterval": LINE_S}
    return tqdm(iterable, file=_Lines(file), delay=_SHORT_S if delay is None else delay, **unseen)


class _Lines:
    """A file for tqdm, which writes a carriage return and its bar: of that, the bar becomes a line."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> None:
        if line := text.strip():
            self._file.write(f"{line}\n")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
