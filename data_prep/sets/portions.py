"""`FOLDER=COUNT`: how many rows a stage takes of which folder of shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.record import fingerprint


@dataclass(frozen=True)
class Portion:
    """So many rows of a folder of shards, which gives them its name."""

    folder: Path
    count: int

    @property
    def name(self) -> str:
        """The folder's own name; the source's, in the recipe."""
        return self.folder.resolve().name


def parse_portions(texts: Sequence[str]) -> list[Portion]:
    """Read `FOLDER=COUNT` arguments.

    Raises:
        ValueError: when one is none, or two folders have the same name.
    """
    portions = []
    for text in texts:
        folder, mark, count = text.rpartition("=")
        if not (mark and folder and count.isdecimal() and int(count) > 0):
            raise ValueError(f"{text!r} is not FOLDER=COUNT, such as data/sat=1500")
        portions.append(Portion(Path(folder), int(count)))
    if len({portion.name for portion in portions}) < len(portions):
        raise ValueError("two of the folders have the same name: their rows could not be told apart")
    return portions


def check_enough(portion: Portion, available: int) -> None:
    """Refuse to take more rows than there are.

    Raises:
        ValueError: which says how many there are.
    """
    if portion.count > available:
        raise ValueError(
            f"{portion.folder} has {available} rows, {portion.count} were asked for: ask for {available} or fewer"
        )


def described(portions: Sequence[Portion]) -> dict[str, Any]:
    """The part of a stage's settings that says what it takes, and from which files."""
    return {
        "portions": {portion.name: portion.count for portion in portions},
        "inputs": {portion.name: fingerprint(portion.folder) for portion in portions},
    }
