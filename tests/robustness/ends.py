"""How a run ends when something is done to it: what it says, after how long, and whether anything is left of it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from .processes import gone, processes

END_S = 240.0
"""Seconds within which a run has to have ended; one that hangs is ended by fgrpo.max_silence_s=300 only."""

GONE_S = 90.0
"""Seconds after which nothing of an ended run may be left; Ray's own agents see after a minute that it is gone."""


@dataclass(frozen=True)
class End:
    """The end of a run.

    Attributes:
        said: its last error, one line.
        seconds: to the end of its last process that writes to the terminal.
        clear: whether it ended by itself, left nothing, and said what it had to.
    """

    said: str
    seconds: float
    clear: bool


def end_of(process: subprocess.Popen[str], fault: Callable[[], None], tells: str) -> End:
    """Inject a fault and wait for the end of the run.

    Args:
        process: the run's script.
        fault: injects it.
        tells: what the last error has to say; "" where nobody is left to say anything.
    """
    everything = dict(processes([process.pid]))
    started = time.monotonic()
    fault()
    try:
        output, _ = process.communicate(timeout=END_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=END_S)
        return End(f"it hung for {END_S:g} s", END_S, clear=False)
    seconds = round(time.monotonic() - started, 1)
    said = last_error(output)
    if left := gone(everything, GONE_S):
        return End(f"{said}; still there: {', '.join(everything[one] for one in left)}", seconds, clear=False)
    return End(said, seconds, clear=process.returncode != 0 and tells in said)


def last_error(output: str) -> str:
    """The last line that a command says about what was wrong; "nothing" when there is none."""
    lines = [line.strip() for line in output.replace("\r", "\n").splitlines()]
    return next((line for line in reversed(lines) if line.startswith("error: ")), "nothing")
