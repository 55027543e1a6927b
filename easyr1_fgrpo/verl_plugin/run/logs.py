"""train.log of a run: everything verl and Ray print, and the reason of a failure found in it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import disk_usage
from tempfile import gettempdir
from typing import TextIO

ROOM = 16 * 2**20
"""Bytes; a disk with less is full."""

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


def innermost(error: BaseException) -> BaseException:
    """The exception that Ray has wrapped, maybe several times."""
    while isinstance(inner := getattr(error, "cause", None), BaseException):
        error = inner
    return error


def cause_of(error: BaseException, log: Path) -> str:
    """The innermost reason in one line; Ray wraps the trainer's exception and hides it in a remote traceback."""
    error = innermost(error)
    text = str(error).strip()
    reason = text.splitlines()[-1] if text else type(error).__name__
    if "no materializable trajectories" in reason:
        # verl logs why a rollout failed and goes on; only when none is left does it stop, without the reason.
        failures = _ROLLOUT_ERROR.findall(log.read_text(encoding="utf-8", errors="replace"))
        reason = (
            f"every rollout of a step failed, the last one with {failures[-1] if failures else 'no reason in the log'}"
        )
    # torch, verl and failed rollouts do not say that a disk was full.
    full = [folder for folder in (log.parent, Path(gettempdir())) if disk_usage(folder).free < ROOM]
    return f"the disk of {' and of '.join(map(str, full))} is full ({reason})" if full else reason
