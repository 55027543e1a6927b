"""The processes of a run by what they do, and what they hold: memory, descriptors, threads."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

PARTS = {
    "gcs/gcs_server": "gcs_server",
    "raylet/raylet": "raylet",
    "log_monitor.py": "log monitor",
    "ray start": "ray start",
    "fgrpo train": "fgrpo train",
    "judge_endpoint.py": "judge over HTTP",
}
"""Part of a command line -> what the process does; of Ray's workers their class says it."""


@dataclass
class Held:
    """What the processes of one role hold together; bytes."""

    processes: int = 0
    rss: int = 0
    uss: int = 0
    descriptors: int = 0
    threads: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    """Of the descriptors: file, socket, pipe, [eventfd], ..."""


def held(roots: Iterable[int]) -> dict[str, Held]:
    """What everything below some processes holds, by role."""
    found: dict[str, Held] = {}
    for process, role in processes(roots):
        with suppress(psutil.NoSuchProcess, FileNotFoundError):
            memory, kinds = process.memory_full_info(), _descriptors(process.pid)
            one = found.setdefault(role, Held())
            one.processes += 1
            one.rss += memory.rss
            one.uss += memory.uss
            one.threads += process.num_threads()
            one.descriptors += kinds.total()
            one.kinds += kinds
    return found


def processes(roots: Iterable[int]) -> Iterator[tuple[psutil.Process, str]]:
    """Some processes and everything below them that has a role, with it."""
    for root in roots:
        with suppress(psutil.NoSuchProcess):
            top = psutil.Process(root)
            for process in [top, *top.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    if (role := role_of(" ".join(process.cmdline()))) is not None:
                        yield process, role


def gone(victims: Iterable[psutil.Process], within_s: float) -> list[psutil.Process]:
    """Those of some processes that are still there after a time."""
    deadline = time.monotonic() + within_s
    left = list(victims)
    while left and time.monotonic() < deadline:
        left = [process for process in left if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
        time.sleep(0.1)
    return left


def role_of(command: str) -> str | None:
    """What a process does, by its command line; None for one that does nothing yet, or is none of a run's."""
    if command.startswith("ray::"):
        name = command.removeprefix("ray::").split()[0].partition(".")[0]
        return None if name.startswith("IDLE") else name
    return next((role for part, role in PARTS.items() if part in command), None)


def _descriptors(pid: int) -> Counter[str]:
    kinds: Counter[str] = Counter()
    for name in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):
            target = os.readlink(f"/proc/{pid}/fd/{name}")
            kinds["file" if target.startswith("/") else target.removeprefix("anon_inode:").partition(":")[0]] += 1
    return kinds
