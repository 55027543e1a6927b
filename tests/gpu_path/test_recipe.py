"""The 7B recipe with verl's vLLM rollout: trains, is killed, goes on, and is stopped where rollouts are blind."""

from __future__ import annotations

import json
import os
import re
import signal

import psutil
import pytest
from integration.recipe_runs import Runs

from easyr1_fgrpo.training import canary

pytestmark = pytest.mark.gpu_path

STEPS = 5
CONSTRAINTS = ("consistency", "spatial_grounding", "semantic_grounding")


def test_trains_is_killed_and_goes_on_to_the_last_table(runs: Runs) -> None:
    """kill -9 after step 3, the last checkpoint being step 2; the same command again."""
    steps = f"trainer.total_training_steps={STEPS}"
    process = runs.start("whole", steps)
    runs.wait_for_step("whole", 3, process)
    family = psutil.Process(process.pid).children(recursive=True)
    assert any(member.name().startswith("VLLM::Worker") for member in family)
    for member in family:
        if "fgrpo train" in " ".join(member.cmdline()):
            os.kill(member.pid, signal.SIGKILL)
    runs.finish(process)
    assert process.returncode != 0
    _, alive = psutil.wait_procs(family, timeout=120)
    assert not alive, "vLLM's processes would keep the GPU's memory from the next run"

    output = runs.run("whole", steps)
    assert "resuming after step 2" in output
    lines = (runs.folder / "whole/metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 3, 4, 5]
    _same_policy(runs)
    _equation_4(runs)
    state = json.loads((runs.folder / f"whole/checkpoints/global_step_{STEPS}/fgrpo.json").read_text())
    last = runs.metrics("whole")[STEPS]
    assert state["multipliers"] == {key: last[f"fgrpo/{key}/next_multiplier"] for key in CONSTRAINTS}
    assert "inconsistency" in output
    assert "multiplier of" in output


def _same_policy(runs: Runs) -> None:
    """The rollout engine's probabilities are the trainer's after every weight sync."""
    for metrics in runs.metrics("whole").values():
        assert metrics[canary.VALID] == 1.0
        assert metrics[canary.MEAN] < 1e-3


def _equation_4(runs: Runs) -> None:
    """Every multiplier moves by lr * (threshold - score), on from where it was before the kill."""
    steps = runs.metrics("whole")
    for key in CONSTRAINTS:
        before = 1.0
        for metrics in steps.values():
            assert metrics[f"fgrpo/{key}/multiplier"] == before
            before += 0.05 * (metrics[f"fgrpo/{key}/threshold"] - metrics[f"fgrpo/{key}/score"])
            assert metrics[f"fgrpo/{key}/next_multiplier"] == pytest.approx(before, abs=1e-12)
            before = metrics[f"fgrpo/{key}/next_multiplier"]


def test_a_blind_rollout_engine_stops_the_run_in_its_first_step(runs: Runs) -> None:
    """Dummy weights leave vLLM without the mean and deviation of pictures, and no weight sync brings them.

    Said as load_format=dummy the plan refuses them; here vLLM gets them past verl's own key.
    """
    process = runs.start("blind", "++actor_rollout_ref.rollout.engine_kwargs.vllm.load_format=dummy")
    output = runs.finish(process)
    assert process.returncode == 1, output[-2000:]
    found = re.search(
        r"error: step 1: the rollout engine's token probabilities differ .* by (\S+) in the mean .*$", output, re.M
    )
    assert found, output[-2000:]
    assert float(found[1]) > 0.05
    assert "load_format=auto" in found[0]
    assert runs.metrics("blind") == {}
