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

_EPOCH = re.compile(rb"Epoch (\d+/\d+): [^\r\n]*?(\d+/\d+) \[")
"""verl's bar."""
_TAIL = 4096


class StageError(RuntimeError):
    """A stage ended with another exit code than 0; the message is one line."""


def run_stage(name: str, command: Sequence[str], env: Mapping[str, str], log: Path | None = None) -> None:
    """Run a stage to its end.

    Args:
        name: on the terminal.
        command: the process.
        env: variables on top of this process's.
        log: a file that its output is appended to; the terminal when left out.

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
        code = process.wait() if log is None else _watched(process, name, log)
    finally:
        _end(process)
    if code:
        said = f"; its last line in {log}: {_last_line(log)}" if log else ""
        raise StageError(f"{name}: exit code {code} from {' '.join(command)}{said}")


def _watched(process: subprocess.Popen[bytes], name: str, log: Path) -> int:
    """Show the last bar of the log until the process ends."""
    with progress_bar(desc=name, bar_format="{desc} [{elapsed}]") as bar:
        while True:
            try:
                return process.wait(1.0)
            except subprocess.TimeoutExpired:
                if bars := _EPOCH.findall(_tail(log)):
                    epoch, step = (part.decode() for part in bars[-1])
                    bar.set_description_str(f"{name}: epoch {epoch}, step {step}", refresh=False)
                bar.update()


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
