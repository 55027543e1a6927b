"""Starts verl's trainer from a checked config, shows progress, and turns its end into an exit code.

Everything verl and Ray print goes to `train.log` in the run directory; the terminal shows one progress bar, and on a
failure the reason.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from omegaconf import OmegaConf
from tqdm import tqdm

from easyr1_fgrpo.checkpoints import finished_step
from easyr1_fgrpo.training.metrics_file import MetricsFollower
from easyr1_fgrpo.verl_plugin.run.waiting import Waiting

TENSORBOARD_DIR = "TENSORBOARD_DIR"
_ROLLOUT_ERROR = re.compile(r"^\S*\(AgentLoopWorker\w* pid=\d+\)\S* (\w*(?:Error|Exception): .*)$", re.MULTILINE)


def train(config: Any) -> int:
    """Run or resume training.

    Args:
        config: the whole composed config, already checked.

    Returns:
        The exit code: 0 when the last step is reached (also when it was reached before), 1 otherwise.
    """
    total = config.trainer.total_training_steps
    done = finished_step(Path(config.trainer.default_local_dir)) or 0
    run_dir = Path(config.fgrpo.run_dir)
    if total is not None and done >= total:
        print(f"{run_dir}: all {total} steps are done; raise trainer.total_training_steps to go on")
        return 0
    OmegaConf.save(config, run_dir / "config.yaml", resolve=True)
    if TENSORBOARD_DIR not in _job_variables():
        # The trainer runs in a Ray worker, which has this process's environment only when this process starts Ray.
        folder = os.environ.get(TENSORBOARD_DIR, str(run_dir / "tensorboard"))
        key = f"ray_kwargs.ray_init.runtime_env.env_vars.{TENSORBOARD_DIR}"
        OmegaConf.update(config, key, folder, force_add=True)
    print(f"{run_dir}: {'resuming after step ' + str(done) if done else 'starting'}; log in {run_dir / 'train.log'}")
    with _logged(run_dir / "train.log") as terminal, _progress(run_dir, done, total, terminal):
        try:
            _run(config)
        except Exception as error:
            sys.stdout.flush()
            print(f"error: {_cause(error, run_dir / 'train.log')} (see {run_dir / 'train.log'})", file=terminal)
            return 1
    return 0


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
        run_ppo(config, task_runner_class=TaskRunnerV1)
    finally:
        ray.shutdown()


def _cause(error: BaseException, log: Path) -> str:
    """The innermost reason in one line; Ray wraps the trainer's exception and hides it in a remote traceback."""
    innermost: BaseException = error
    while isinstance(inner := getattr(innermost, "cause", None), BaseException):
        innermost = inner
    text = str(innermost).strip()
    reason = text.splitlines()[-1] if text else type(innermost).__name__
    if "no materializable trajectories" in reason:
        # verl logs why a rollout failed and goes on; only when none is left does it stop, without the reason.
        failures = _ROLLOUT_ERROR.findall(log.read_text(encoding="utf-8", errors="replace"))
        reason = (
            f"every rollout of a step failed, the last one with {failures[-1] if failures else 'no reason in the log'}"
        )
    return reason


@contextmanager
def _logged(path: Path) -> Iterator[TextIO]:
    """Send this process's output, Ray's included, to a file; yields the terminal."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    with path.open("a", encoding="utf-8") as log, os.fdopen(os.dup(2), "w", encoding="utf-8") as terminal:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            yield terminal
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for fd, target in zip(saved, (1, 2), strict=True):
                os.dup2(fd, target)
                os.close(fd)


@contextmanager
def _progress(run_dir: Path, done: int, total: int | None, terminal: TextIO) -> Iterator[None]:
    """A progress bar on the terminal, fed by metrics.jsonl; before the first step, what the cluster lacks for it."""
    stop = threading.Event()
    waiting = Waiting()
    follower = MetricsFollower(run_dir / "metrics.jsonl")

    def follow() -> None:
        with tqdm(total=total, initial=done, desc="training", unit="step", file=terminal, dynamic_ncols=True) as bar:
            while True:
                ended = stop.wait(1.0)
                for step, metrics in follower.new():
                    bar.set_postfix_str(summary(metrics), refresh=False)
                    bar.update(step - bar.n)
                if ended:
                    return
                if bar.n == done and (line := waiting.news()):
                    bar.write(line, file=terminal)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def summary(metrics: dict[str, float]) -> str:
    """The few numbers worth watching: task reward, score and multiplier of each constraint, and failing judges."""
    parts = [f"task {metrics['fgrpo/signals/task/mean']:.2f}"] if "fgrpo/signals/task/mean" in metrics else []
    for name in metrics:
        if name.startswith("fgrpo/") and name.endswith("/threshold"):
            key = name.split("/")[1]
            score = metrics.get(f"fgrpo/{key}/score")
            shown = "–" if score is None else f"{score:.2f}"
            part = f"{key} {shown} λ{metrics[f'fgrpo/{key}/multiplier']:.2f}"
            if (judged := metrics.get(f"fgrpo/{key}/valid_share", 1.0)) < 1.0:
                part += f" (judged {judged:.0%})"
            parts.append(part)
    return ", ".join(parts)
