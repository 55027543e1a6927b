"""Checkpoints that were damaged: the command refuses before Ray starts, names the file, and its way out works."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from integration.recipe_runs import ROOT, TRAIN_ONLY

from easyr1_fgrpo.checkpoints import MARKER, STATE_FILE

from .bench import STEPS, Bench
from .ends import last_error
from .outcomes import Outcome

HERE = ("backbone=tiny", "dataset=miniature", "judge=oracle", "scale=cpu")
SHARD = "actor/{}_world_size_1_rank_0.pt"
LAST = STEPS - 2
"""The checkpoint that is damaged."""

Damage = Callable[[Path], None]


def cut(path: Path) -> None:
    """Keep the first half of a file."""
    os.truncate(path, path.stat().st_size // 2)


def zero(path: Path) -> None:
    """Of the same size, and nothing but zeros: what a disk leaves that lost power."""
    path.write_bytes(bytes(path.stat().st_size))


def changed(path: Path) -> None:
    """Another byte near the end."""
    content = bytearray(path.read_bytes())
    content[-8] ^= 0xFF
    path.write_bytes(bytes(content))


def says(text: str) -> Damage:
    """A text in place of a file's own."""
    return lambda path: (path.write_text(text), None)[1]


DAMAGES: tuple[tuple[str, str, Damage], ...] = (
    ("data.pt is missing", "data.pt", Path.unlink),
    ("data.pt is cut", "data.pt", cut),
    ("the multipliers are missing", STATE_FILE, Path.unlink),
    ("the multipliers are cut", STATE_FILE, cut),
    ("the weights are missing", SHARD.format("model"), Path.unlink),
    ("the weights are cut", SHARD.format("model"), cut),
    ("the weights are zeros", SHARD.format("model"), zero),
    ("a byte of the weights changed", SHARD.format("model"), changed),
    ("the optimizer is cut", SHARD.format("optim"), cut),
    ("the optimizer is zeros", SHARD.format("optim"), zero),
    ("the random states are missing", SHARD.format("extra_state"), Path.unlink),
    ("the marker is empty", f"../{MARKER}", says("")),
    ("the marker is zeros", f"../{MARKER}", zero),
    ("the marker names a step without a folder", f"../{MARKER}", says("9")),
    ("the marker names a step beyond the end", f"../{MARKER}", says("9999")),
    ("the marker is missing", f"../{MARKER}", Path.unlink),
)
"""What is wrong, the file, and what is done to it."""


def damaged_checkpoints(bench: Bench) -> Iterator[Outcome]:
    """Damage the last checkpoint of a run in every way, one at a time; go the way out of the last one."""
    run = bench.forget("damaged")
    bench.runs.run(run, f"trainer.total_training_steps={LAST}", script=TRAIN_ONLY)
    folder, sound = bench.folder / run, bench.folder / "sound"
    shutil.rmtree(sound, ignore_errors=True)
    folder.rename(sound)
    for fault, file, damage in DAMAGES:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(sound, folder)
        path = folder / f"checkpoints/global_step_{LAST}" / file
        damage(path)
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "easyr1_fgrpo", "train", *HERE, *bench.runs.overrides(run)],
            cwd=ROOT, env={**os.environ, "VERL_PLATFORM": "cpu"}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        said = last_error(done.stderr)
        named = path.name in said or path.resolve().name in said
        yield Outcome(fault, said, done.returncode == 1 and named, round(time.monotonic() - started, 1))
