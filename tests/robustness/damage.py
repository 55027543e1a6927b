"""Checkpoints that were damaged: the command refuses before Ray starts, names the file, and its way out works."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from integration.recipe_runs import TRAIN_ONLY

from easyr1_fgrpo.checkpoints import MARKER, STATE_FILE

from .bench import STEPS, Bench
from .outcomes import Outcome

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


DAMAGES: tuple[tuple[str, str, Damage, str], ...] = (
    ("data.pt is missing", "data.pt", Path.unlink, "data.pt is missing"),
    ("data.pt is cut", "data.pt", cut, "data.pt is no whole file"),
    ("the multipliers are missing", STATE_FILE, Path.unlink, f"{STATE_FILE} is missing"),
    ("the multipliers are cut", STATE_FILE, cut, f"{STATE_FILE} is no whole file"),
    ("the weights are missing", SHARD.format("model"), Path.unlink, "model_world_size_1_rank_0.pt is missing"),
    ("the weights are cut", SHARD.format("model"), cut, "model_world_size_1_rank_0.pt is no whole file"),
    ("the weights are zeros", SHARD.format("model"), zero, "model_world_size_1_rank_0.pt is no whole file"),
    ("a byte of the weights changed", SHARD.format("model"), changed, "model_world_size_1_rank_0.pt is not as it was"),
    ("the optimizer is cut", SHARD.format("optim"), cut, "optim_world_size_1_rank_0.pt is no whole file"),
    ("the optimizer is zeros", SHARD.format("optim"), zero, "optim_world_size_1_rank_0.pt is no whole file"),
    ("the random states are missing", SHARD.format("extra_state"), Path.unlink, "rank_0.pt is missing"),
    ("the marker is empty", f"../{MARKER}", says(""), MARKER),
    ("the marker is zeros", f"../{MARKER}", zero, MARKER),
    ("the marker names a step without a folder", f"../{MARKER}", says("9"), "global_step_9: no such checkpoint"),
    ("the marker names a step beyond the end", f"../{MARKER}", says("9999"), "global_step_9999: no such checkpoint"),
    ("the marker is missing", f"../{MARKER}", Path.unlink, f"{MARKER} is missing"),
)
"""What is wrong, the file, what is done to it, and what the error has to say."""


def damaged_checkpoints(bench: Bench) -> Iterator[Outcome]:
    """Damage the last checkpoint of a run in every way, one at a time; then go the way out that an error names."""
    run = bench.forget("damaged")
    bench.runs.run(run, f"trainer.total_training_steps={LAST}", script=TRAIN_ONLY)
    folder, sound = bench.folder / run, bench.folder / "sound"
    shutil.rmtree(sound, ignore_errors=True)
    folder.rename(sound)

    def refused(file: str, damage: Damage) -> tuple[int, str, float]:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(sound, folder)
        damage(folder / f"checkpoints/global_step_{LAST}" / file)
        return bench.refusal(run)

    for fault, file, damage, tells in DAMAGES:
        code, said, seconds = refused(file, damage)
        yield Outcome(fault, said, code == 1 and tells in said, seconds)
    _, said, _ = refused(SHARD.format("model"), cut)
    way_out = re.findall(r"fgrpo\.resume\.from=\S+", said)
    bench.runs.run(run, *way_out, script=TRAIN_ONLY)
    yield Outcome(
        "the weights are cut, and one goes the way out that the error names", f"resumed by {' '.join(way_out)}",
        good=len(way_out) == 1, equal=bench.equal(run, range(LAST - 1, STEPS + 1)),
    )  # fmt: skip
