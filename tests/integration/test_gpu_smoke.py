"""`bash recipes/gpu_smoke.sh` from its first line to its last, on a CPU; how its stages fail is tests/unit's."""

from __future__ import annotations

import subprocess

import pytest

from .recipe_runs import ROOT, RUN_DEADLINE_S, Runs

pytestmark = pytest.mark.integration


def test_the_smoke_reaches_its_verdict_without_a_gpu(runs: Runs, whole: str) -> None:
    """A stage a line, the last one the verdict; the run's metrics are those that the report reads."""
    overrides = runs.overrides("smoke", "trainer.total_training_steps=1")
    given = ["scale=cpu", *(override for override in overrides if not override.startswith("evaluation."))]
    done = subprocess.run(
        ["bash", "recipes/gpu_smoke.sh", *given],
        cwd=ROOT, text=True, capture_output=True, timeout=RUN_DEADLINE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    lines = done.stdout.splitlines()
    stages = ("device: the CPU", "packages: torch ", "policy: ", "attention: eager, padded: ", "steps: ", "canary: ")
    assert [next(i for i, line in enumerate(lines) if line.startswith(stage)) for stage in stages] == sorted(
        i for i, line in enumerate(lines) if line.startswith(stages)
    )
    assert lines[-1] == "CPU path: ok; no GPU was used"
    assert sorted(runs.metrics("smoke")) == [1]
