"""train.log of a run: everything verl and Ray print, and the reason of a failure found in it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from easyr1_fgrpo.failure import on_full_disk, reason

_ROLLOUT_ERROR = re.compile(r"^\S*\(AgentLoopWorker\w* pid=\d+\)\S* (\w*(?:Error|Exception): .*)$", re.MULTILINE)


@contextmanager
def logged_to(path: Path) -> Iterator[TextIO]:
    """Send this process's output, Ray's included, to a file; yields the terminal."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    with path.open("a", encoding="utf-8") as log, os.fdopen(os.dup(2), "w", encoding="utf-8") as terminal:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            yield terminal
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for fd, target in zip(saved, (1, 2), strict=True):
                os.dup2(fd, target)
                os.close(fd)


def cause_of(error: BaseException, log: Path) -> str:
    """The innermost reason in one line, with what the log knows of it."""
    said = reason(error)
    if "no materializable trajectories" in said:
        # verl logs why a rollout failed and goes on; only when none is left does it stop, without the reason.
        failures = _ROLLOUT_ERROR.findall(log.read_text(encoding="utf-8", errors="replace"))
        said = (
            f"every rollout of a step failed, the last one with {failures[-1] if failures else 'no reason in the log'}"
        )
    return on_full_disk(said, log.parent)
