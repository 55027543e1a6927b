"""One process trains in a run directory: a second one would double its steps, traces and checkpoints.

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

from filelock import FileLock, Timeout

from easyr1_fgrpo.files import write_json

LOCK_FILE, HOLDER_FILE = ".lock", ".lock.json"


class RunLockedError(RuntimeError):
    """Another process trains in the run directory."""


@contextmanager
def locked(run_dir: Path) -> Iterator[str | None]:
    """Hold the run directory; gives who held it and ended without giving it back (killed), None where nobody did.

    Raises:
        RunLockedError: when another process holds it, naming host and process.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    holder = run_dir / HOLDER_FILE
    try:
        lock = FileLock(run_dir / LOCK_FILE, timeout=0).acquire()
    except Timeout as error:
        raise RunLockedError(
            f"{run_dir}: {_read(holder) or 'another process'} trains there; wait for its end, end it, or give this run "
            "another trainer.experiment_name"
        ) from error
    with lock:
        before = _read(holder)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(holder, {"host": socket.gethostname(), "pid": os.getpid(), "since": since})
        try:
            yield before
        finally:
            holder.unlink(missing_ok=True)


def _read(holder: Path) -> str | None:
    try:
        held = json.loads(holder.read_text())
        return f"process {held['pid']} on {held['host']} (since {held['since']})"
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):  # its writer was killed
        return "a process that left no name"
