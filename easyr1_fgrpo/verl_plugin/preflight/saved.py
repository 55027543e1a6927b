"""Whether the checkpoint that a run would go on from is all there: found in seconds, before Ray starts.

verl starts anew when the folder its marker names is missing, takes rows from the first on when `data.pt` is, and ends
in an error without a file name when a shard was cut.

`fgrpo.resume.from=global_step_N` goes back to an earlier one: its step is marked as the run's last, so verl goes on
from there. The run's resumes.jsonl notes it, and the same command does not go back again.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
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
from easyr1_fgrpo.files import LineFile, write_whole

RESUMES_FILE = "resumes.jsonl"
"""Of a run: when it went on as something else, or from an earlier checkpoint."""

_SHARDS = {"model": "model", "optimizer": "optim", "extra": "extra_state"}
"""What verl saves per rank -> how it names the files, `NAME_world_size_N_rank_R.pt`."""


def saved_step(config: Any) -> int | None:
    """The step that the run would go on after; None where it starts anew.

    Raises:
        CheckpointError: when what it would go on from cannot be read, or is not all there.
    """
    trainer = config.trainer
    checkpoints, back = Path(trainer.default_local_dir), config.fgrpo.resume["from"]
    if back and trainer.resume_mode != "auto":
        raise CheckpointError(f"fgrpo.resume.from={back}: not with trainer.resume_mode={trainer.resume_mode}, drop one")
    if (path := trainer.resume_from_path) and trainer.resume_mode != "resume_path":
        raise CheckpointError(f"trainer.resume_from_path={path}: it is read with trainer.resume_mode=resume_path only")
    if trainer.resume_mode == "disable" and any(checkpoints.glob("global_step_*")):
        raise CheckpointError(
            f"trainer.resume_mode=disable: {checkpoints} holds a run's checkpoints, and a new run would be mixed with "
            "it; give another trainer.experiment_name, or move that one away"
        )
    if trainer.resume_mode == "resume_path":
        folder = Path(str(trainer.resume_from_path))
    elif trainer.resume_mode != "auto":
        return None
    elif _goes_back(config):
        folder = checkpoints / back
    elif (step := _marked(checkpoints, config)) is not None:
        folder = step_folder(checkpoints, step)
    else:
        return None
    if problems := list(checkpoint_problems(folder, config)):
        raise CheckpointError(f"{'; '.join(problems)}{_way_out(checkpoints, folder, config)}")
    return step_of(folder)


def go_back(config: Any) -> None:
    """Mark the checkpoint of `fgrpo.resume.from` as the run's last, unless that is done; its run must be locked."""
    if config.trainer.resume_mode == "auto" and _goes_back(config):
        name = config.fgrpo.resume["from"]
        write_whole(Path(config.trainer.default_local_dir) / MARKER, name.rpartition("_")[2])
        with LineFile(Path(config.fgrpo.run_dir) / RESUMES_FILE) as file:
            file.append(json.dumps({"from": name, "at": datetime.now(UTC).isoformat(timespec="seconds")}))


def _goes_back(config: Any) -> bool:
    """Whether the run has to go back: it has not done so yet, or what it saved since is not whole either."""
    name, notes = config.fgrpo.resume["from"], Path(config.fgrpo.run_dir) / RESUMES_FILE
    whole = notes.read_bytes().rpartition(b"\n")[0] if notes.exists() else b""
    earlier = [record["from"] for line in whole.splitlines() if "from" in (record := json.loads(line))]
    if not name or earlier[-1:] != [name]:
        return bool(name)
    checkpoints = Path(config.trainer.default_local_dir)
    try:
        step = finished_step(checkpoints)
    except CheckpointError:
        return True
    return step is None or any(checkpoint_problems(step_folder(checkpoints, step), config))


def _marked(checkpoints: Path, config: Any) -> int | None:
    """The step that is marked. A first checkpoint that was cut off has no marker and the run starts anew."""
    try:
        step = finished_step(checkpoints)
    except CheckpointError as error:
        raise CheckpointError(f"{error}{_way_out(checkpoints, None, config)}") from None
    steps = sorted(found for folder in checkpoints.glob("global_step_*") if (found := step_of(folder)) is not None)
    if step is None and len(steps) > 1:  # a second one shows that the marker is gone
        missing = f"{checkpoints / MARKER} is missing beside checkpoints of steps {', '.join(map(str, steps))}"
        raise CheckpointError(f"{missing}{_way_out(checkpoints, None, config)}")
    return step


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


def _way_out(checkpoints: Path, wrong: Path | None, config: Any) -> str:
    folders = sorted(checkpoints.glob("global_step_*"), key=lambda folder: step_of(folder) or 0, reverse=True)
    for folder in folders:
        if folder != wrong and not any(checkpoint_problems(folder, config)):
            return f". Go on from the last whole one: the same command with fgrpo.resume.from={folder.name}"
    return f". No{' other' if wrong else ''} checkpoint there is whole: move {checkpoints} away to start anew"
