"""The README's first command, shortened: the real script, real verl on Ray, killed and resumed.

One short warm start serves all runs. Rollouts, judges (the oracle in its own Ray actor), dual steps and checkpoints are
those of the full run; only the numbers of steps are small.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import psutil
import pytest
import torch
from safetensors.torch import load_file

from easyr1_fgrpo.traces import read_traces

from .recipe_runs import ROOT, STEPS, TRAIN_ONLY, Runs, learning

pytestmark = pytest.mark.integration


def test_trains_to_the_last_table(runs: Runs, whole: str) -> None:
    assert sorted(runs.metrics("whole")) == list(range(1, STEPS + 1))
    assert "inconsistency" in whole
    assert "the last table is of data.val_files" not in whole, "it is of the world's test questions"
    assert "multiplier of" in whole
    assert f" 0 of {STEPS} " in whole, "steps unmeasured"
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


def test_killed_damaged_and_resumed_equals_uninterrupted(runs: Runs, whole: str) -> None:
    """kill -9 after step 3, the last checkpoint cut; what the refusal says to type goes on from the one before.

    The plain resume is in test_model_judges.py.
    """
    often = "trainer.save_freq=1"
    process = runs.start("killed", often, script=TRAIN_ONLY)
    path = runs.folder / "killed/metrics.jsonl"
    runs.wait_for_step("killed", 3, process)
    for pid in _descendants(process.pid, "fgrpo train"):
        os.kill(pid, signal.SIGKILL)
    runs.finish(process)
    assert process.returncode != 0
    checkpoints = runs.folder / "killed/checkpoints"
    last = int((checkpoints / "latest_checkpointed_iteration.txt").read_text())
    (shard,) = (checkpoints / f"global_step_{last}/actor").glob("model_*.pt")
    os.truncate(shard, shard.stat().st_size // 2)
    train = [sys.executable, "-m", "easyr1_fgrpo", "train", *runs.overrides("killed", often)]
    refused = subprocess.run(train, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)
    (line,) = refused.stderr.splitlines()
    assert refused.returncode == 1
    assert line.startswith(f"error: {shard} is no whole file")
    advice = line.split()[-1]
    assert advice == f"fgrpo.resume.from=global_step_{last - 1}"
    output = runs.run("killed", often, advice, script=TRAIN_ONLY)
    assert f"resuming after step {last - 1}" in output
    whole_steps, killed_steps = runs.metrics("whole"), runs.metrics("killed")
    for step in range(1, STEPS + 1):
        assert learning(killed_steps[step]) == learning(whole_steps[step]), f"step {step}"
    lines = [json.loads(line)["step"] for line in path.read_text().splitlines()]
    assert lines.count(3) == 2, "step 3 was done before the kill and again after it"
    assert (checkpoints / "latest_checkpointed_iteration.txt").read_text() == str(STEPS)


def test_finished_run_prints_its_table_again(runs: Runs, whole: str) -> None:
    again = runs.run("whole")
    assert "steps are done" in again
    assert "inconsistency" in again


def _descendants(pid: int, command: str) -> list[int]:
    children = psutil.Process(pid).children(recursive=True)
    return [child.pid for child in children if command in " ".join(child.cmdline())]
