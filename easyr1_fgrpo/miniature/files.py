"""Folders that are there whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer


def taken(out: Path) -> bool:
    """Whether something is already there: a file, or a folder that is not empty."""
    return out.exists() and (not out.is_dir() or any(out.iterdir()))


def free_option(out: Path) -> Path:
    """Callback of a command's `--out`: one clear line, before any work is done, when it is taken."""
    if taken(out):
        raise typer.BadParameter(f"{out} is not empty: remove it or choose another folder")
    return out


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out` to write into; it becomes `out` when everything in the block went well.

    Raises:
        FileExistsError: when `out` already holds something; it is never overwritten.
    """
    out = out.absolute()
    if taken(out):
        raise FileExistsError(f"{out} is not empty: remove it or choose another folder")
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # left by a killed run
    partial.mkdir(parents=True)
    yield partial
    partial.rename(out)
