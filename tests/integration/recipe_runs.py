"""Runs of the tiny recipe, shortened: the real script, real verl on Ray. Only the numbers of steps are small."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from easyr1_fgrpo.metrics_file import read_metrics

ROOT = Path(__file__).parents[2]
RECIPE = "recipes/run_fgrpo_tiny_cpu.sh"
TRAIN_ONLY = "tests/integration/train_only.sh"
STEPS = 4
SCENES = {"train": 64, "val": 16, "test": 32, "sft": 640}
SHORT = (
    "stages.warm_start_steps=10",
    "data.train_batch_size=8",
    "actor_rollout_ref.actor.ppo_mini_batch_size=8",
    "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=40",
    "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=40",
    "actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu=40",
    "actor_rollout_ref.rollout.max_num_seqs=40",
    "actor_rollout_ref.rollout.agent.num_workers=1",
    "fgrpo.dual.min_applicable=1",
    f"trainer.total_training_steps={STEPS}",
    "trainer.save_freq=2",
    "evaluation.samples=32",
)
TWO_RANKS = tuple(
    f"actor_rollout_ref.{part}_micro_batch_size_per_gpu=20"  # of 40 rollouts a step
    for part in ("actor.ppo", "rollout.log_prob", "ref.log_prob")
)
"""On top of how many ranks there are: half of a step's rollouts for each of two."""
RUN_DEADLINE_S = 1500
LEARNING = ("fgrpo/", "actor/", "training/rollout", "critic/", "response_length/", "rollout_corr/")
MACHINE = ("actor/perf/", "timing", "perf/", "fgrpo/judges/")


class Runs:
    """Starts a recipe in a scratch folder; every run shares one set of stages."""

    def __init__(self, folder: Path, recipe: str = RECIPE, always: Sequence[str] = ()) -> None:
        self.folder = folder
        self.recipe = recipe
        self.always = always

    def overrides(self, name: str, *more: str) -> list[str]:
        return [
            f"stages.dir={self.folder / 'stages'}",
            f"fgrpo.run_dir={self.folder / name}",
            *(f"stages.scenes.{split}={size}" for split, size in SCENES.items()),
            "stages.backbone_steps=60",
            *SHORT,
            *self.always,
            *more,
        ]

    def start(
        self, name: str, *more: str, script: str = "", environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """On a Ray cluster of its own, or on the one that the environment names."""
        return subprocess.Popen(
            ["bash", script or self.recipe, *self.overrides(name, *more)], env=environment,
            cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def finish(self, process: subprocess.Popen[str]) -> str:
        try:
            output, _ = process.communicate(timeout=RUN_DEADLINE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate(timeout=400)
            raise AssertionError(f"not done in {RUN_DEADLINE_S} s, so far:\n{output[-2000:]}") from None
        return output

    def run(self, name: str, *more: str, script: str = "") -> str:
        process = self.start(name, *more, script=script)
        output = self.finish(process)
        log = self.folder / name / "train.log"
        tail = "\n".join(log.read_text().splitlines()[-30:]) if log.exists() else ""
        assert process.returncode == 0, f"{output[-2000:]}\n--- train.log\n{tail}"
        return output

    def wait_for_step(self, name: str, step: int, process: subprocess.Popen[str]) -> None:
        """Return as soon as a run has logged a step."""
        path = self.folder / name / "metrics.jsonl"
        self.wait_for(lambda: path.exists() and step in read_metrics(path), f"step {step} of {name}", process)

    def wait_for(self, reached: Callable[[], bool], what: str, process: subprocess.Popen[str]) -> None:
        """Return as soon as a run that goes on has reached something."""
        deadline = time.monotonic() + RUN_DEADLINE_S
        while not reached():
            assert process.poll() is None, f"it ended before {what}: {self.finish(process)[-2000:]}"
            assert time.monotonic() < deadline, what
            time.sleep(0.02)

    def metrics(self, name: str) -> dict[int, dict[str, float]]:
        return read_metrics(self.folder / name / "metrics.jsonl")


def learning(metrics: dict[str, float]) -> dict[str, float]:
    """What the run learned in a step: everything but the machine's timings and memory."""
    return {k: v for k, v in metrics.items() if k.startswith(LEARNING) and not k.startswith(MACHINE)}


def equal_to_five_digits(metrics: dict[str, float]) -> Any:
    """What several ranks learned, compared with this of one: sums of another order are rounded elsewhere.

    Among them are differences between log-probabilities of rollout and actor, 1e-7 to 1e-6, which are rounding alone.
    """
    return pytest.approx(metrics, rel=1e-5, abs=5e-6)
