"""Starts verl's trainer from a checked config, shows progress, and turns its end into an exit code.

Everything verl and Ray print goes to `train.log` in the run directory; the terminal shows one progress bar, and on a
failure the reason.
"""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from easyr1_fgrpo.checkpoints import finished_step
from easyr1_fgrpo.failure import exit_code
from easyr1_fgrpo.stopping import stop_code
from easyr1_fgrpo.verl_plugin.run.alone import RUN, RUNS, Alone
from easyr1_fgrpo.verl_plugin.run.logs import cause_of, logged_to
from easyr1_fgrpo.verl_plugin.run.progress import progress
from easyr1_fgrpo.watch import watched

RUNTIME_ENV = "ray_kwargs.ray_init.runtime_env"
TENSORBOARD_DIR = "TENSORBOARD_DIR"


def train(config: Any, done: int, py_executable: str | None = None) -> int:
    """Run or resume training.

    Args:
        config: the whole composed config, already checked.
        done: the step after which it goes on, 0 for a run that starts anew.
        py_executable: what starts Ray's workers, where the config does not say; None for Python.

    Returns:
        The exit code: 0 when the last step is reached, 130 or 143 when a signal stopped it, else `exit_code`.
    """
    run_dir = Path(config.fgrpo.run_dir)
    if py_executable and OmegaConf.select(config, f"{RUNTIME_ENV}.py_executable") is None:
        OmegaConf.update(config, f"{RUNTIME_ENV}.py_executable", py_executable, force_add=True)
    if TENSORBOARD_DIR not in _job_variables():
        # The trainer runs in a Ray worker, which has this process's environment only when this process starts Ray.
        folder = os.environ.get(TENSORBOARD_DIR, str(run_dir / "tensorboard"))
        OmegaConf.update(config, f"{RUNTIME_ENV}.env_vars.{TENSORBOARD_DIR}", folder, force_add=True)
    print(f"{run_dir}: {'resuming after step ' + str(done) if done else 'starting'}; log in {run_dir / 'train.log'}")
    with logged_to(run_dir / "train.log") as terminal:
        try:
            with progress(run_dir, done, config.trainer.total_training_steps, terminal) as reached:
                _run(config)
        except KeyboardInterrupt:
            print(_stopped(reached.step, Path(config.trainer.default_local_dir)), file=terminal)
            return stop_code()
        except Exception as error:  # told below the bar, on a line of its own
            sys.stdout.flush()
            print(f"error: {cause_of(error, run_dir / 'train.log')} (see {run_dir / 'train.log'})", file=terminal)
            return exit_code(error)
    return 0


def _stopped(step: int, checkpoints: Path) -> str:
    """What a stopped run leaves, and what the same command does next."""
    saved = finished_step(checkpoints)
    if saved is None:
        return f"stopped at step {step}, no checkpoint yet: the same command starts anew"
    return f"stopped at step {step}, last checkpoint {saved}: the same command resumes"


def _job_variables() -> set[str]:
    """What the Ray job this process belongs to sets in its workers; Ray refuses a variable that is set twice."""
    job = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}"))
    return set((job.get("runtime_env") or {}).get("env_vars") or {})


def _run(config: Any) -> None:
    import ray
    from verl.trainer.main_ppo import TaskRunnerV1, run_ppo
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import validate_config
    from verl.utils.device import auto_set_device

    auto_set_device(config)
    validate_config(config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config))
    try:
        runner = partial(ray.get_actor, RUN, namespace=RUNS)
        with watched(Path(config.fgrpo.run_dir), config.fgrpo.max_silence_s, runner):
            run_ppo(config, task_runner_class=Alone(TaskRunnerV1))
    finally:
        ray.shutdown()
