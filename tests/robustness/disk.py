"""A disk that is full: the run's folder on a small tmpfs, filled while it trains."""

from __future__ import annotations

import errno
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from integration.recipe_runs import TRAIN_ONLY

from .bench import STEPS, Bench
from .ends import end_of
from .outcomes import Outcome

SIZE = 96 * 2**20
LEFT = {"too little for a checkpoint": 2 * 2**20, "not a byte": 0}
"""What of the disk is left -> bytes; the first before there are two checkpoints, one of which would make room."""


def full_disk(bench: Bench) -> Iterator[Outcome]:
    """Fill the disk in the middle of a run, give it room again, and resume."""
    run = bench.forget("full_disk")
    with tmpfs(bench.folder / run) as folder:
        ballast, faults, ends, resumed_after = folder / "ballast", [], [], []
        for step, (left, size) in zip((3, bench.draws.randrange(6, STEPS - 1)), LEFT.items(), strict=True):
            process = bench.runs.start(run, script=TRAIN_ONLY)
            bench.runs.wait_for_step(run, step, process)
            faults.append(f"disk full after step {step}, {left} left")
            ends.append(end_of(process, partial(fill, ballast, size), "is full"))
            ballast.unlink()
            resumed_after.append(bench.saved(run))
        bench.runs.run(run, script=TRAIN_ONLY)
        for fault, end, equal in zip(faults, ends, bench.equal_after(run, resumed_after), strict=True):
            yield Outcome(fault, end.said, end.clear, end.seconds, equal)


@contextmanager
def tmpfs(folder: Path) -> Iterator[Path]:
    """A small disk at a folder. tests/run.sh gives us a mount namespace of our own, so no root is needed."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(path: Path, left: int) -> None:
    """Write a file until so many bytes are left."""
    with path.open("wb", buffering=0) as file:
        while (free := shutil.disk_usage(path.parent).free) > left:
            try:
                file.write(bytes(min(free - left, 2**20)))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                return
