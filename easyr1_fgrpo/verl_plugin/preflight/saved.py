"""The checkpoint that a run on verl would go on from: which one `trainer.resume_mode` means, and what verl saves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from easyr1_fgrpo.checkpoints import MARKER, CheckpointError, finished_step
from easyr1_fgrpo.files import write_whole
from easyr1_fgrpo.preflight.saved import EXTRA, MODEL, OPTIMIZER, HostFiles, SavedRun

_SHARDS = {"model": MODEL, "optimizer": OPTIMIZER, "extra": EXTRA}
"""What verl is asked to save -> how a rank names it."""


def _mark(checkpoints: Path, step: int) -> None:
    write_whole(checkpoints / MARKER, str(step))


_VERL = HostFiles(place="data.pt", marker=MARKER, marked=finished_step, mark=_mark)


def saved_step(config: Any) -> int | None:
    """The step that the run would go on after; None where it starts anew.

    Raises:
        CheckpointError: when what it would go on from cannot be read, or is not all there.
    """
    trainer, saved = config.trainer, _saved(config)
    if saved.back and trainer.resume_mode != "auto":
        raise CheckpointError(
            f"fgrpo.resume.from={saved.back}: not with trainer.resume_mode={trainer.resume_mode}, drop one"
        )
    if (path := trainer.resume_from_path) and trainer.resume_mode != "resume_path":
        raise CheckpointError(f"trainer.resume_from_path={path}: it is read with trainer.resume_mode=resume_path only")
    if trainer.resume_mode == "disable" and any(saved.checkpoints.glob("global_step_*")):
        raise CheckpointError(
            f"trainer.resume_mode=disable: {saved.checkpoints} holds a run's checkpoints, and a new run would be mixed "
            "with it; give another trainer.experiment_name, or move that one away"
        )
    if trainer.resume_mode == "resume_path":
        return saved.checked(Path(str(trainer.resume_from_path)))
    return saved.step() if trainer.resume_mode == "auto" else None


def go_back(config: Any) -> None:
    """Mark the checkpoint of `fgrpo.resume.from` as the run's last, unless that is done; its run must be locked."""
    if config.trainer.resume_mode == "auto":
        _saved(config).go_back()


def _saved(config: Any) -> SavedRun:
    trainer, contents = config.trainer, config.actor_rollout_ref.actor.checkpoint.save_contents
    return SavedRun(
        run_dir=Path(config.fgrpo.run_dir),
        checkpoints=Path(trainer.default_local_dir),
        back=config.fgrpo.resume["from"],
        shards=tuple(name for what, name in _SHARDS.items() if what in contents),
        ranks=trainer.nnodes * trainer.n_gpus_per_node,
        machines=trainer.nnodes,
        host=_VERL,
    )
