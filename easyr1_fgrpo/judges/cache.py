"""Verdicts of model judges, cached on disk under the content of what was asked."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import diskcache
from diskcache.core import MODE_RAW

from easyr1_fgrpo.judges.protocol import Label

LOCK_DEADLINE_S = 10.0
"""Seconds to wait for other writers before the cache counts as broken; a write takes less than a millisecond."""

T = TypeVar("T")
logger = logging.getLogger(__name__)


def cache_key(*parts: Any) -> str:
    """The SHA-256 of JSON values, in hex: equal content, equal key."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Known:
    """What a judge once answered: its labels and its text."""

    labels: tuple[Label, ...]
    text: str


class VerdictCache:
    """A folder that any number of processes on one machine read and write; the oldest entries go when it is full.

    What `put` has returned for is there after the process is killed. All work on the disk happens in a thread of its
    own, so a slow disk or a waiting writer never holds up the event loop.

    A cache that cannot be read or written, or holds what we did not write, is left out from then on, with a warning:
    judging goes on without it. Each entry carries a checksum over its key and content, so that a damaged file gives no
    wrong verdict.

    Args:
        directory: on a local disk; made when missing.
        max_gib: size in GiB.
    """

    def __init__(self, directory: str | Path, max_gib: float) -> None:
        self._directory = Path(directory)
        self._size_limit = int(max_gib * 2**30)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="verdict-cache")
        self._store: diskcache.Cache | None = None
        self._left_out = False

    async def get(self, key: str) -> Known | None:
        """What is known under a key of `cache_key`, if anything."""
        return await self._in_thread(lambda store: _read(key, store.get(key)))

    async def put(self, key: str, labels: Sequence[Label], text: str) -> None:
        """Keep an answer; it is on disk on return."""
        value = json.dumps([_checksum(key, labels, text), labels, text])
        await self._in_thread(lambda store: store.set(key, value))

    async def close(self) -> None:
        """Close the files; the next use opens them again."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    async def _in_thread(self, work: Callable[[diskcache.Cache], T]) -> T | None:
        if self._left_out:
            return None
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._guarded, work)

    def _guarded(self, work: Callable[[diskcache.Cache], T]) -> T | None:
        if self._left_out:
            return None
        try:
            self._store = self._store or self._open()
            return work(self._store)
        except Exception as error:  # a damaged file makes SQLite and diskcache raise nearly anything
            self._left_out = True
            logger.warning(
                "the verdict cache %s is left out, judges are asked again (%s: %s); delete the folder to start anew",
                self._directory,
                type(error).__name__,
                " ".join(str(error).split()),
            )
            return None

    def _open(self) -> diskcache.Cache:
        return diskcache.Cache(
            str(self._directory),
            timeout=LOCK_DEADLINE_S,
            disk=_TextDisk,
            size_limit=self._size_limit,
            eviction_policy="least-recently-stored",
            sqlite_mmap_size=0,  # a mapped file that another process cuts short would kill this one
        )


class _TextDisk(diskcache.Disk):
    """Only texts, and only inside the database: nothing is unpickled, no other file is read or removed."""

    def store(self, value: str, read: bool, key: Any = None) -> tuple[int, int, None, str]:
        return 0, MODE_RAW, None, value

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> str:
        if mode != MODE_RAW or not isinstance(value, str):
            raise ValueError("an entry is no text")
        return value

    def remove(self, file_path: str) -> None:
        pass


def _read(key: str, value: str | None) -> Known | None:
    if value is None:
        return None
    checksum, labels, text = json.loads(value)
    if checksum != _checksum(key, labels, text):
        raise ValueError(f"the entry {key} is damaged")
    return Known(tuple(Label(label) for label in labels), text)


def _checksum(key: str, labels: Sequence[str], text: str) -> str:
    return cache_key(key, labels, text)[:16]
