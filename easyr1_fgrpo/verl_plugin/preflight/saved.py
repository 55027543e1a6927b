"""Whether the checkpoint that a run would go on from is all there: found in seconds, before Ray starts.

verl starts anew when the folder its marker names is missing, takes rows from the first on when `data.pt` is, and ends
in an error without a file name when a shard was cut.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from easyr1_fgrpo.checkpoints import (
    MARKER,
    CheckpointError,
    finished_step,
    manifest_problems,
    read_state,
    step_folder,
    step_of,
)

_SHARDS = {"model": "model", "optimizer": "optim", "extra": "extra_state"}
"""What verl saves per rank -> how it names the files, `NAME_world_size_N_rank_R.pt`."""


def saved_step(config: Any) -> int | None:
    """The step that the run would go on after; None where it starts anew.

    Raises:
        CheckpointError: when what it would go on from cannot be read, or is not all there.
    """
    trainer = config.trainer
    checkpoints = Path(trainer.default_local_dir)
    if trainer.resume_mode == "resume_path":
        folder = Path(str(trainer.resume_from_path))
    elif trainer.resume_mode == "auto" and (step := finished_step(checkpoints)) is not None:
        folder = step_folder(checkpoints, step)
    else:
        if trainer.resume_mode == "auto":
            _refuse_without_marker(checkpoints)
        return None
    if problems := list(checkpoint_problems(folder, config)):
        raise CheckpointError(f"{'; '.join(problems)}{_way_out(checkpoints, folder, config)}")
    return step_of(folder)


def _refuse_without_marker(checkpoints: Path) -> None:
    """A first checkpoint that was cut off has no marker and starts anew; a second one shows that it is gone."""
    steps = sorted(step for folder in checkpoints.glob("global_step_*") if (step := step_of(folder)) is not None)
    if len(steps) > 1:
        marker = checkpoints / MARKER
        raise CheckpointError(
            f"{marker} is missing beside checkpoints of steps {', '.join(map(str, steps))}: write the last whole one "
            f"into it (echo {steps[-1]} > {marker}), or move {checkpoints} away to start anew"
        )


def checkpoint_problems(folder: Path, config: Any) -> Iterator[str]:
    """What is missing, cut or changed in a checkpoint of the run, one line each: no tensor is read, whatever the size.

    Args:
        folder: `global_step_N`.
        config: of the run; a rank of another machine may have its files there.
    """
    if step_of(folder) is None or not folder.is_dir():
        yield f"{folder}: no such checkpoint"
        return
    try:
        read_state(folder)
    except (CheckpointError, FileNotFoundError) as error:
        yield str(error)
    lost = [*_cut(folder / "data.pt"), *_lost_shards(folder / "actor", config)]
    yield from lost or manifest_problems(folder)


def _lost_shards(actor: Path, config: Any) -> Iterator[str]:
    trainer = config.trainer
    ranks = trainer.nnodes * trainer.n_gpus_per_node
    contents = config.actor_rollout_ref.actor.checkpoint.save_contents
    for name in [name for what, name in _SHARDS.items() if what in contents]:
        written = sorted(actor.glob(f"{name}_world_size_*_rank_*.pt"))
        ours = [actor / f"{name}_world_size_{ranks}_rank_{rank}.pt" for rank in range(ranks)]
        if written and not set(written) <= set(ours):
            yield f"{written[0]}: written by another number of ranks than this run's {ranks}"
        else:
            for path in ours if trainer.nnodes == 1 or not written else written:
                yield from _cut(path)


def _cut(path: Path) -> Iterator[str]:
    """A file of torch's is a zip, whose directory stands at its end."""
    if not path.exists():
        yield f"{path} is missing"
    elif not zipfile.is_zipfile(path):
        yield f"{path} is no whole file ({path.stat().st_size} bytes): it was cut or overwritten"


def _way_out(checkpoints: Path, wrong: Path, config: Any) -> str:
    folders = sorted(checkpoints.glob("global_step_*"), key=lambda folder: step_of(folder) or 0, reverse=True)
    for folder in folders:
        if folder != wrong and not any(checkpoint_problems(folder, config)):
            return f". The last whole checkpoint: trainer.resume_mode=resume_path trainer.resume_from_path={folder}"
    return f". No other checkpoint there is whole: move {checkpoints} away to start anew"
