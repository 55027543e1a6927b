"""The README's first command, shortened: the real script, real verl on Ray, killed and resumed.

One short warm start serves all runs. Rollouts, judges (the oracle in its own Ray actor), dual steps and checkpoints are
those of the full run; only the numbers of steps are small.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from easyr1_fgrpo.traces import read_traces
from easyr1_fgrpo.verl_plugin.metrics_file import read_metrics

ROOT = Path(__file__).parents[2]
STEPS = 4
RUN_DEADLINE_S = 600
LEARNING = ("fgrpo/", "actor/", "training/rollout", "critic/", "response_length/", "rollout_corr/")
MACHINE = ("actor/perf/", "timing", "perf/")

pytestmark = pytest.mark.integration


class Runs:
    """Starts the recipe in a scratch folder; every run shares one set of stages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def overrides(self, name: str, *more: str) -> list[str]:
        return [
            f"stages.dir={self.folder / 'stages'}",
            f"fgrpo.run_dir={self.folder / name}",
            "stages.scenes={train: 64, val: 16, test: 32, sft: 640}",
            "stages.backbone_steps=60",
            "stages.warm_start_steps=10",
            "data.train_batch_size=8",
            "actor_rollout_ref.actor.ppo_mini_batch_size=8",
            "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=40",
            "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=40",
            "actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu=40",
            "actor_rollout_ref.rollout.max_num_seqs=40",
            "fgrpo.dual.min_applicable=1",
            f"trainer.total_training_steps={STEPS}",
            "trainer.save_freq=2",
            "evaluation.samples=32",
            *more,
        ]

    def start(self, name: str, *more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", "recipes/run_fgrpo_tiny_cpu.sh", *self.overrides(name, *more)],
            cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def finish(self, process: subprocess.Popen[str]) -> str:
        try:
            output, _ = process.communicate(timeout=RUN_DEADLINE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return output

    def run(self, name: str, *more: str) -> str:
        process = self.start(name, *more)
        output = self.finish(process)
        log = self.folder / name / "train.log"
        tail = "\n".join(log.read_text().splitlines()[-30:]) if log.exists() else ""
        assert process.returncode == 0, f"{output[-2000:]}\n--- train.log\n{tail}"
        return output

    def metrics(self, name: str) -> dict[int, dict[str, float]]:
        return read_metrics(self.folder / name / "metrics.jsonl")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def whole(runs: Runs) -> str:
    """Output of one uninterrupted run."""
    return runs.run("whole")


def learning(metrics: dict[str, float]) -> dict[str, float]:
    """What the run learned in a step: everything but the machine's timings and memory."""
    return {k: v for k, v in metrics.items() if k.startswith(LEARNING) and not k.startswith(MACHINE)}


def test_trains_to_the_last_table(runs: Runs, whole: str) -> None:
    assert sorted(runs.metrics("whole")) == list(range(1, STEPS + 1))
    assert "inconsistency" in whole
    assert "multiplier of" in whole
    assert str(runs.folder / "whole") in whole
    state = json.loads((runs.folder / f"whole/checkpoints/global_step_{STEPS}/fgrpo.json").read_text())
    last = runs.metrics("whole")[STEPS]
    for key, multiplier in state["multipliers"].items():
        assert multiplier == last[f"fgrpo/{key}/next_multiplier"]


def test_every_rollout_leaves_a_trace(runs: Runs, whole: str) -> None:
    records, bad = read_traces((runs.folder / "whole/traces").glob("train-*.jsonl"))
    assert bad == 0
    assert len(records) == STEPS * 8 * 5
    assert all((runs.folder / f"whole/images/{sha}.png").exists() for record in records for sha in record.images)


def test_dual_steps_follow_equation_4(runs: Runs, whole: str) -> None:
    steps = runs.metrics("whole")
    moved = 0
    for step in range(1, STEPS + 1):
        for key in ("consistency", "spatial_grounding", "semantic_grounding"):
            now = {name: steps[step].get(f"fgrpo/{key}/{name}") for name in
                   ("score", "applicable", "threshold", "multiplier", "next_multiplier")}  # fmt: skip
            if now["score"] is not None and now["applicable"] >= 1:
                expected = min(max(now["multiplier"] + 0.05 * (now["threshold"] - now["score"]), 0.0), 5.0)
                assert now["next_multiplier"] == pytest.approx(expected, abs=1e-12)
                moved += 1
            else:
                assert now["next_multiplier"] == now["multiplier"]
            if step > 1:
                assert now["multiplier"] == steps[step - 1][f"fgrpo/{key}/next_multiplier"]
    assert moved > 0


def test_vision_is_frozen_and_language_learns(runs: Runs, whole: str) -> None:
    before = load_file(runs.folder / "stages/warm_start/model.safetensors")
    after = load_file(runs.folder / f"whole/checkpoints/global_step_{STEPS}/actor/huggingface/model.safetensors")
    vision = [name for name in before if "visual" in name]
    assert vision
    assert all(torch.equal(before[name], after[name]) for name in vision)
    assert any(not torch.equal(before[name], after[name]) for name in before if "visual" not in name)


def test_rollout_and_actor_agree_after_every_weight_sync(runs: Runs, whole: str) -> None:
    for metrics in runs.metrics("whole").values():
        assert metrics["rollout_corr/log_ppl_abs_diff"] < 1e-4
        assert metrics["training/rollout_probs_diff_max"] < 1e-4


def test_killed_and_resumed_equals_uninterrupted(runs: Runs, whole: str) -> None:
    """kill -9 after step 3, the last checkpoint being step 2; the same command again."""
    process = runs.start("killed")
    path = runs.folder / "killed/metrics.jsonl"
    _wait_for(lambda: path.exists() and 3 in read_metrics(path), process)
    for pid in _descendants(process.pid, "easyr1_fgrpo.train"):
        os.kill(pid, signal.SIGKILL)
    runs.finish(process)
    assert process.returncode != 0
    assert (runs.folder / "killed/checkpoints/latest_checkpointed_iteration.txt").read_text() == "2"
    output = runs.run("killed")
    assert "resuming after step 2" in output
    whole_steps, killed_steps = runs.metrics("whole"), runs.metrics("killed")
    for step in range(1, STEPS + 1):
        assert learning(killed_steps[step]) == learning(whole_steps[step]), f"step {step}"
    lines = [json.loads(line)["step"] for line in path.read_text().splitlines()]
    assert lines.count(3) == 2, "step 3 was done before the kill and again after it"


def test_finished_run_prints_its_table_again(runs: Runs, whole: str) -> None:
    again = runs.run("whole")
    assert "steps are done" in again
    assert "inconsistency" in again


def test_overrides_arrive_in_the_metrics(runs: Runs, whole: str) -> None:
    runs.run(
        "overridden",
        "fgrpo.constraints.consistency.threshold=0.9",
        "fgrpo.dual.lambda_max=2",
        "fgrpo.constraint_keys=[consistency]",
        "trainer.total_training_steps=2",
    )
    metrics = runs.metrics("overridden")[2]
    assert metrics["fgrpo/consistency/threshold"] == 0.9
    assert metrics["fgrpo/dual/lambda_max"] == 2.0
    assert {k.split("/")[1] for k in metrics if k.startswith("fgrpo/") and k.endswith("/threshold")} == {"consistency"}


def _wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + RUN_DEADLINE_S
    while not condition():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _descendants(pid: int, module: str) -> list[int]:
    import psutil

    children = psutil.Process(pid).children(recursive=True)
    return [child.pid for child in children if module in " ".join(child.cmdline())]
