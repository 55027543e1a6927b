"""The method's regression test: a change that breaks the effect shows here.

`bash tests/run.sh --nightly tests/nightly`
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from easyr1_fgrpo.evaluation.results import Mode
from easyr1_fgrpo.study.arms import ARMS, QUICK, QUICK_STEPS
from easyr1_fgrpo.study.results import AFTER, BEFORE, measured
from easyr1_fgrpo.study.runs import Run

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.nightly


def test_answers_get_better_and_traces_stay_faithful(tmp_path: Path) -> None:
    """Directions only: one seed and few steps say no more. Which arm is more accurate shows later than this."""
    command = ["bash", "recipes/run_miniature_study.sh", "--quick", "--root", tmp_path, "--page", tmp_path / "quick.md"]
    subprocess.run(command, cwd=ROOT, check=True)
    runs = {name: Run(ARMS[name], 0, tmp_path, QUICK_STEPS) for name in QUICK}
    before = measured(runs["fgrpo"], Mode.SAMPLED, BEFORE)
    grpo_t, fgrpo = (measured(runs[name], Mode.SAMPLED, AFTER) for name in ("grpo_t", "fgrpo"))
    assert fgrpo["accuracy"].low > before["accuracy"].high
    assert fgrpo["inconsistency"].high < grpo_t["inconsistency"].low
    assert fgrpo["semantic_grounding"].low > grpo_t["semantic_grounding"].high
