"""A checkpoint folder as Hugging Face lays it out: is it whole, and what is its content."""

from __future__ import annotations

import hashlib
from pathlib import Path


class CheckpointError(ValueError):
    """A checkpoint that cannot be loaded, and why, in one line."""


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


def checkpoint_sha256(folder: Path) -> str:
    """SHA-256 over names and contents of the folder's files, whatever the folder is called."""
    lines = [f"{file_sha256(path)}  {path.name}\n" for path in sorted(folder.iterdir()) if path.is_file()]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
