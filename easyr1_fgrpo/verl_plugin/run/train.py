"""`fgrpo train [overrides]`: constrained RL with verl, from checked config to last checkpoint.

Everything that can be known to be wrong is refused before anything is started: one line per problem, exit code 1.
"""

from __future__ import annotations

import sys
from pathlib import Path

from omegaconf import DictConfig

from easyr1_fgrpo.config.load import ConfigError, load_config, read_settings
from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.verl_plugin.cpu.fork_server import forked_workers
from easyr1_fgrpo.verl_plugin.paths import make_paths_absolute


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
    if config.trainer.device != "cpu":
        return _checked(config, settings, None)
    config.ray_kwargs.ray_init.runtime_env.env_vars.VERL_PLATFORM = "cpu"
    rollout = config.actor_rollout_ref.rollout
    with forked_workers(rollout.seed if rollout.full_determinism else None) as command:  # it imports during the checks
        return _checked(config, settings, command)


def _checked(config: DictConfig, settings: FgrpoConfig, py_executable: str | None) -> int:
    from easyr1_fgrpo.lock import RunLockedError, locked
    from easyr1_fgrpo.verl_plugin.preflight.first_question import first_question_problems
    from easyr1_fgrpo.verl_plugin.preflight.machine import machine_problems
    from easyr1_fgrpo.verl_plugin.preflight.resume import resume_problems
    from easyr1_fgrpo.verl_plugin.preflight.run_problems import run_problems

    problems = run_problems(config, files=True)
    if problems := [*problems, *machine_problems(config, settings, warm_start=False), *resume_problems(config)]:
        return _refuse(problems)
    if problems := first_question_problems(config, settings):
        return _refuse(problems)
    make_paths_absolute(config)
    try:
        with locked(Path(settings.run_dir)) as before:
            if before:
                print(f"{settings.run_dir}: {before} trained there and is gone; its lock is taken over")
            return _go_on(config, py_executable)
    except RunLockedError as error:
        return _refuse([str(error)])


def _go_on(config: DictConfig, py_executable: str | None = None) -> int:
    from easyr1_fgrpo.preflight.resume import note_start
    from easyr1_fgrpo.verl_plugin.preflight.resume import KEYS
    from easyr1_fgrpo.verl_plugin.preflight.saved import go_back, saved_step
    from easyr1_fgrpo.verl_plugin.run.launch import train

    done, total, run_dir = saved_step(config), config.trainer.total_training_steps, config.fgrpo.run_dir
    if done is not None and total is not None and done >= total:
        print(f"{run_dir}: all {total} steps are done; raise trainer.total_training_steps to go on")
        return 0
    note_start(config, done, KEYS)
    go_back(config)
    return train(config, done or 0, py_executable)


def _refuse(lines: list[str]) -> int:
    for line in lines:
        print(f"error: {line}", file=sys.stderr)
    return 1
