"""Checkpoints: where a run's last whole one is, and whether a Hugging Face folder can be loaded.

A run's `checkpoints/` holds a folder `global_step_N` per checkpoint, with verl's policy in `actor/` and the state of
our multipliers, and a marker file, which verl writes last: the checkpoint it names is whole.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

from easyr1_fgrpo.files import write_json

MARKER = "latest_checkpointed_iteration.txt"
STATE_FILE, MANIFEST_FILE = "fgrpo.json", "manifest.json"
END = 1 << 20
"""Bytes at a file's start and end, where safetensors and parquet have their directories."""
_STEP = re.compile(r"global_step_(\d+)")


class CheckpointError(ValueError):
    """A checkpoint that cannot be loaded, and why, in one line."""


def step_folder(checkpoints: Path, step: int) -> Path:
    """The folder of one step's checkpoint."""
    return checkpoints / f"global_step_{step}"


def step_of(folder: Path) -> int | None:
    """The step whose checkpoint a folder is by its name, None for any other folder."""
    named = _STEP.fullmatch(folder.name)
    return int(named[1]) if named else None


def finished_step(checkpoints: Path) -> int | None:
    """The step of the last whole checkpoint, None before the first.

    Raises:
        CheckpointError: when the marker names none, as one that was being written when its machine died.
    """
    marker = checkpoints / MARKER
    if not marker.exists():
        return None
    content = marker.read_text(errors="replace").strip()
    if not content.isdecimal():
        raise CheckpointError(
            f"{marker} holds {content[:20]!r} instead of a step: write the N of the last whole global_step_N into it"
        )
    return int(content)


def last_checkpoint(checkpoints: Path) -> Path:
    """The folder of the last whole checkpoint.

    Raises:
        CheckpointError: when there is none.
    """
    step = finished_step(checkpoints)
    if step is None:
        raise CheckpointError(f"{checkpoints}: no checkpoint there yet; train first")
    return step_folder(checkpoints, step)


def prune(checkpoints: Path, keep: int, step: int) -> None:
    """Delete a run's oldest checkpoints; the one that is marked as whole always stays.

    Args:
        checkpoints: the run's folder of them.
        keep: how many stay, at least 1, of those up to `step`.
        step: the run is at. Later ones are of a run that was taken up again from an earlier step, which writes over
            them when it gets there.
    """
    marked = finished_step(checkpoints)
    folders = {number: folder for folder in checkpoints.iterdir() if (number := step_of(folder)) is not None}
    reached = sorted((number for number in folders if number <= step), key=lambda number: (number == marked, number))
    for number in reached[: max(0, len(reached) - keep)]:
        shutil.rmtree(folders[number])


def exported_model(checkpoint: Path) -> Path:
    """Verl's Hugging Face folder of a checkpoint: always configuration and tokenizer, weights if the run saves them."""
    return checkpoint / "actor" / "huggingface"


def read_state(checkpoint: Path) -> dict[str, Any]:
    """What the multipliers' controller saved (`MultiplierController.state_dict`).

    Raises:
        FileNotFoundError: when the checkpoint has none.
        CheckpointError: when it is not whole.
    """
    path = checkpoint / STATE_FILE
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: this checkpoint was not written by a trainer of FGRPO")
    try:
        state: dict[str, Any] = json.loads(path.read_bytes())
    except ValueError as error:
        raise CheckpointError(f"{path} is no whole file: {error}") from error
    return state


def write_manifest(checkpoint: Path) -> None:
    """Note what a run goes on from: each file's hash (`quick_sha256`) but for the export, of which nothing is read.

    Of a checkpoint on several machines' own disks these are the files of this machine.
    """
    files = (path for path in sorted(checkpoint.rglob("*")) if path.is_file() and path != checkpoint / MANIFEST_FILE)
    export = exported_model(checkpoint)
    hashes = {str(path.relative_to(checkpoint)): quick_sha256(path) for path in files if export not in path.parents}
    write_json(checkpoint / MANIFEST_FILE, hashes)


def manifest_problems(checkpoint: Path) -> list[str]:
    """Files of a checkpoint that are not as they were written, one line each; [] also of one without a manifest."""
    path = checkpoint / MANIFEST_FILE
    if not path.exists():  # an older one, or its run was killed between verl's last act and ours
        return []
    try:
        hashes = json.loads(path.read_bytes())
    except ValueError as error:
        return [f"{path} is no whole file: {error}"]
    found = ((checkpoint / name, sha256) for name, sha256 in hashes.items())
    return [
        f"{file} is not as it was written: its content changed"
        for file, sha256 in found
        if file.exists() and quick_sha256(file) != sha256
    ]


_PARTS = {
    "configuration": ("config.json",),
    "weights": ("*.safetensors", "pytorch_model*.bin"),
    "tokenizer": ("tokenizer.json", "vocab.json"),
    "image processor": ("preprocessor_config.json", "processor_config.json"),
}


def checkpoint_problems(folder: Path) -> list[str]:
    """What keeps a folder from being loaded, one line each (verl exports whole ones to `actor/huggingface`)."""
    if not folder.is_dir():
        return [f"{folder}: no such checkpoint folder"]
    absent = {what: names for what, names in _PARTS.items() if not any(any(folder.glob(name)) for name in names)}
    return [f"{folder}: the checkpoint has no {what} ({' or '.join(names)})" for what, names in absent.items()]


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def quick_sha256(path: Path) -> str:
    """A hash of a file or of all files of a folder in seconds, whatever their size.

    Of a file counts its size and `END` bytes from its start and its end.
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        lines = [f"{file.relative_to(path)} {quick_sha256(file)}\n" for file in files]
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    size = path.stat().st_size
    content = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        content.update(file.read(END))
        file.seek(max(0, size - END))
        content.update(file.read(END))
    return content.hexdigest()


def checkpoint_sha256(folder: Path) -> str:
    """SHA-256 over names and contents of the folder's files, whatever the folder is called."""
    lines = [f"{file_sha256(path)}  {path.name}\n" for path in sorted(folder.iterdir()) if path.is_file()]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
