"""Replies of one question, on disk as they come: a search that was cut off goes on without asking for them again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError


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
        self._path = path
        self._file = path.open("ab+")
        self._file.seek(0)
        lines = self._file.read().split(b"\n")
        self.entries = {entry.address: entry for line in lines if (entry := _read(line)) is not None}
        if lines[-1]:
            self._file.write(b"\n")

    def add(self, entry: Entry) -> None:
        """Keep a reply: when this returns, killing the process does not lose it."""
        self._file.write(entry.model_dump_json(ensure_ascii=True).encode("ascii") + b"\n")
        self._file.flush()
        self.entries[entry.address] = entry

    def close(self) -> None:
        """Close the file, which stays."""
        self._file.close()

    def remove(self) -> None:
        """Delete the file: what came of it is kept elsewhere."""
        self._file.close()
        self._path.unlink()


def _read(line: bytes) -> Entry | None:
    try:
        return Entry.model_validate_json(line)
    except ValidationError:
        return None
