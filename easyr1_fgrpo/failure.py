"""Why a run on Ray failed, in one line, and the exit code that says so."""

from __future__ import annotations

from pathlib import Path
from shutil import disk_usage
from tempfile import gettempdir

from easyr1_fgrpo.training.unmeasured import ConstraintUnmeasuredError

ROOM = 16 * 2**20
"""Bytes; a disk with less is full."""

JUDGE_GONE = 4
"""Exit code of a run that stopped with a checkpoint because a judge measured too little for too long; 1 of others."""


def innermost(error: BaseException) -> BaseException:
    """The exception that Ray has wrapped, maybe several times."""
    while isinstance(inner := getattr(error, "cause", None), BaseException):
        error = inner
    return error


def reason(error: BaseException) -> str:
    """The innermost one's last line; Ray hides it in a remote traceback."""
    text = str(innermost(error)).strip()
    return text.splitlines()[-1] if text else type(innermost(error)).__name__


def on_full_disk(reason: str, run_dir: Path) -> str:
    """The reason after the name of the disk that is full, where one is: torch and hosts do not say that it was."""
    full = [folder for folder in (run_dir, Path(gettempdir())) if disk_usage(folder).free < ROOM]
    return f"the disk of {' and of '.join(map(str, full))} is full ({reason})" if full else reason


def exit_code(error: BaseException) -> int:
    """What the command ends with after this error."""
    return JUDGE_GONE if isinstance(innermost(error), ConstraintUnmeasuredError) else 1
