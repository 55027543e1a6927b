"""Paths of the key `fgrpo` as this machine knows them: Ray's workers may have another working directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omegaconf import DictConfig


def make_settings_absolute(ours: DictConfig) -> None:
    """Write out the paths of a config's key `fgrpo`, in place: of the run, the cache, prompts and custom signals."""
    from omegaconf import OmegaConf

    for key in ("run_dir", "judge_cache.directory", *(f"judges.{question}.prompt" for question in ours.judges)):
        if isinstance(value := OmegaConf.select(ours, key), str) and value:
            OmegaConf.update(ours, key, absolute(value))
    for name, target in ours.signals.items():
        location, _, function = target.rpartition(":")
        if location.endswith(".py"):
            ours.signals[name] = f"{absolute(location)}:{function}"


def absolute(path: str) -> str:
    """The path without what depends on the working directory."""
    return str(Path(path).expanduser().absolute())
