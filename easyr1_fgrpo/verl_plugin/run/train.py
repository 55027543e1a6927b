"""`fgrpo train [overrides]`: constrained RL with verl, from checked config to last checkpoint.

Everything that can be known to be wrong is refused before anything is started: one line per problem, exit code 1.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from easyr1_fgrpo.config.load import ConfigError, load_config, read_settings


def main(overrides: list[str]) -> int:
    """Compose the config, check it, train.

    Args:
        overrides: Hydra overrides, `key=value` or `group=choice`.

    Returns:
        The exit code.
    """
    try:
        config = load_config(overrides)
        settings = read_settings(config)
    except ConfigError as error:
        return _refuse(error.lines)
    if config.trainer.device == "cpu":
        # Before verl is imported: it resolves its platform once.
        os.environ["VERL_PLATFORM"] = "cpu"
        config.ray_kwargs.ray_init.runtime_env.env_vars.VERL_PLATFORM = "cpu"

    from easyr1_fgrpo.verl_plugin.preflight.checks import training_problems
    from easyr1_fgrpo.verl_plugin.preflight.machine import machine_problems
    from easyr1_fgrpo.verl_plugin.run.launch import train

    if problems := [*training_problems(config), *machine_problems(config, settings)]:
        return _refuse(problems)
    make_paths_absolute(config)
    run_dir = Path(settings.run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    return train(config)


def make_paths_absolute(config: DictConfig) -> None:
    """Write the paths of this machine out: Ray's workers have the cluster's working directory, not ours."""
    judges = [f"fgrpo.judges.{question}.prompt" for question in config.fgrpo.judges]
    for key in ("fgrpo.run_dir", "trainer.default_local_dir", "fgrpo.judge_cache.directory", *judges):
        if value := OmegaConf.select(config, key):
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


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())


def _refuse(lines: list[str]) -> int:
    for line in lines:
        print(f"error: {line}", file=sys.stderr)
    return 1
