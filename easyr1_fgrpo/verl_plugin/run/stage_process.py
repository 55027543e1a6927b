"""A stage as a process of its own, which ends when this one is stopped; what it prints goes to a log or the terminal.

verl's SFT trainer prints hundreds of lines; of those, the terminal shows the last bar.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from easyr1_fgrpo.terminal import progress_bar

END_S = 30.0
"""Seconds that a stage has to end in before it is killed: torchrun ends its ranks first."""

_EPOCH = re.compile(rb"Epoch (\d+)/(\d+): [^\r\n]*?(\d+)/(\d+) \[")
"""verl's bar, of an epoch; it knows nothing of an end before the last epoch."""
_TAIL = 4096


class StageError(RuntimeError):
    """A stage ended with another exit code than 0; the message is one line."""


def run_stage(
    name: str, command: Sequence[str], env: Mapping[str, str], log: Path | None = None, most_steps: int | None = None
) -> None:
    """Run a stage to its end.

    Args:
        name: on the terminal.
        command: the process.
        env: variables on top of this process's.
        log: a file that its output is appended to; the terminal when left out.
        most_steps: after which training ends, though its epochs have more; for the bar.

    Raises:
        StageError: when it fails.
        KeyboardInterrupt: when this process is stopped; then the stage has ended, too.
    """
    environment = {**os.environ, **env}
    if log is None:
        process = subprocess.Popen(command, env=environment)
    else:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        code = process.wait() if log is None else _watched(process, name, log, most_steps)
    finally:
        _end(process)
    if code:
        said = f"; its last line in {log}: {_last_line(log)}" if log else ""
        raise StageError(f"{name}: exit code {code} from {' '.join(command)}{said}")


def _watched(process: subprocess.Popen[bytes], name: str, log: Path, most_steps: int | None) -> int:
    """Show how far the log's last bar says that training is, until the process ends."""
    with progress_bar(desc=name, unit="step", total=most_steps) as bar:
        while True:
            try:
                return process.wait(1.0)
            except subprocess.TimeoutExpired:
                if bars := _EPOCH.findall(_tail(log)):
                    epoch, epochs, step, steps = map(int, bars[-1])
                    bar.total = most_steps or epochs * steps
                    bar.n = (epoch - 1) * steps + step
                bar.update(0)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tail(log: Path) -> bytes:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL))
        return file.read()


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in _tail(log).decode(errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line), "nothing")
