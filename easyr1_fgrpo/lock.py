"""One process works in a folder, a run's or a stage's: a second one would double steps, traces and checkpoints.

The lock is the operating system's, so that it ends with its process, however that ends.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import AcquireReturnProxy, FileLock, Timeout

from easyr1_fgrpo.files import place_problem, write_json

LOCK_FILE, HOLDER_FILE = ".lock", ".lock.json"


class RunLockedError(RuntimeError):
    """Another process works in the folder, or nobody can."""


ANOTHER_NAME = "give this run another trainer.experiment_name"


@contextmanager
def locked(folder: Path, way_out: str = ANOTHER_NAME) -> Iterator[str | None]:
    """Hold the folder; gives who held it and ended without giving it back (killed), None where nobody did.

    Args:
        folder: of a run or of a stage; made when it is not there.
        way_out: what else can be done than to wait for the other's end or to end it.

    Raises:
        RunLockedError: when another process holds it, naming host and process, and where nothing can be written.
    """
    if problem := place_problem(folder):
        raise RunLockedError(f"{folder}: {problem}; name another place")
    folder.mkdir(parents=True, exist_ok=True)
    holder = folder / HOLDER_FILE
    lock = _acquired(folder, way_out)
    with lock:
        before = _read(holder)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(holder, {"host": socket.gethostname(), "pid": os.getpid(), "since": since})
        try:
            yield before
        finally:
            holder.unlink(missing_ok=True)


def lock_problems(folder: Path) -> list[str]:
    """Who works there now, as one line; nothing otherwise. Leaves no trace, so it can be asked beforehand."""
    if not (folder / LOCK_FILE).exists():
        return []
    try:
        _acquired(folder, ANOTHER_NAME).lock.release()
    except RunLockedError as error:
        return [str(error)]
    return []


def _acquired(folder: Path, way_out: str) -> AcquireReturnProxy[Any]:
    try:
        return FileLock(folder / LOCK_FILE, timeout=0).acquire()
    except Timeout as error:
        holder = _read(folder / HOLDER_FILE) or "another process"
        raise RunLockedError(f"{folder}: {holder} works there; wait for its end, end it, or {way_out}") from error


def _read(holder: Path) -> str | None:
    try:
        held = json.loads(holder.read_text())
        return f"process {held['pid']} on {held['host']} (since {held['since']})"
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):  # its writer was killed
        return "a process that left no name"
