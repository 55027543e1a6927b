"""Paths of a config as this machine knows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from easyr1_fgrpo.config.paths import absolute, make_settings_absolute


def make_paths_absolute(config: DictConfig) -> None:
    """Write the paths of this machine out: Ray's workers have the cluster's working directory, not ours."""
    make_settings_absolute(config.fgrpo)
    for key in ("trainer.default_local_dir", "stages.world", "evaluation.file"):
        if isinstance(value := OmegaConf.select(config, key), str) and value:
            OmegaConf.update(config, key, absolute(value))
    model = config.actor_rollout_ref.model
    if Path(model.path).exists():  # otherwise it is a hub id
        model.path = absolute(model.path)
    for key in ("train_files", "val_files"):
        files = config.data[key]
        config.data[key] = [absolute(path) for path in ([files] if isinstance(files, str) else files)]


def data_files(files: Any) -> list[Path]:
    """What `data.train_files` and its like name: one file, several, or none."""
    return [Path(str(path)).expanduser() for path in ([files] if isinstance(files, str) else files or [])]
