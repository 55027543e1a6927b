"""Replies of one question, on disk as they come: a search that was cut off goes on without asking for them again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from easyr1_fgrpo.files import LineFile


class Entry(BaseModel):
    """A teacher's reply at an address of the tree (see `search`): its text, whether it was cut, and its tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str
    text: str
    cut: bool
    prompt_tokens: Annotated[int, Field(ge=0)]
    completion_tokens: Annotated[int, Field(ge=0)]


class Journal:
    """A file of entries, one JSON line each; one process writes to it.

    A line torn by a kill costs that one reply.

    Attributes:
        entries: by address.
    """

    def __init__(self, path: Path) -> None:
        self._file = LineFile(path)
        self.entries = {entry.address: entry for _, line in self._file if (entry := _read(line)) is not None}

    def add(self, entry: Entry) -> None:
        """Note a reply: when this returns, killing the process does not lose it."""
        self._file.append(entry.model_dump_json(ensure_ascii=True))
        self.entries[entry.address] = entry

    def close(self) -> None:
        """Close the file, which stays."""
        self._file.close()

    def remove(self) -> None:
        """Delete the file: the finished tree holds what came of it."""
        self._file.close()
        self._file.path.unlink()


def _read(line: bytes) -> Entry | None:
    try:
        return Entry.model_validate_json(line)
    except ValidationError:
        return None
