"""Paths of a config as this machine knows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf


def make_paths_absolute(config: DictConfig) -> None:
    """Write the paths of this machine out: Ray's workers have the cluster's working directory, not ours."""
    judges = [f"fgrpo.judges.{question}.prompt" for question in config.fgrpo.judges]
    ours = ("fgrpo.run_dir", "trainer.default_local_dir", "fgrpo.judge_cache.directory")
    last_table = ("stages.world", "evaluation.file")
    for key in (*ours, *last_table, *judges):
        if isinstance(value := OmegaConf.select(config, key), str) and value:
            OmegaConf.update(config, key, _absolute(value))
    for name, target in config.fgrpo.signals.items():
        location, _, function = target.rpartition(":")
        if location.endswith(".py"):
            config.fgrpo.signals[name] = f"{_absolute(location)}:{function}"
    model = config.actor_rollout_ref.model
    if Path(model.path).exists():  # otherwise it is a hub id
        model.path = _absolute(model.path)
    for key in ("train_files", "val_files"):
        files = config.data[key]
        config.data[key] = [_absolute(path) for path in ([files] if isinstance(files, str) else files)]


def data_files(files: Any) -> list[Path]:
    """What `data.train_files` and its like name: one file, several, or none."""
    return [Path(str(path)).expanduser() for path in ([files] if isinstance(files, str) else files or [])]


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())
