"""The method's regression test: a change that breaks the effect shows here.

`bash tests/run.sh --nightly tests/nightly`
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from easyr1_fgrpo.evaluation.mode import Mode
from easyr1_fgrpo.evaluation.results.results import AFTER, BEFORE
from easyr1_fgrpo.study.arms import ARMS, QUICK, QUICK_STEPS
from easyr1_fgrpo.study.records import Record
from easyr1_fgrpo.study.runs import Run

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.nightly


def test_answers_get_better_and_traces_stay_faithful(tmp_path: Path) -> None:
    """Directions only: one seed and few steps say no more. Which arm is more accurate shows later than this."""
    command = ["bash", "recipes/run_miniature_study.sh", "--quick", "--root", tmp_path, "--page", tmp_path / "quick.md"]
    subprocess.run(command, cwd=ROOT, check=True)
    records = {
        name: Record.load(Record.path(tmp_path / "quick", Run(ARMS[name], 0, tmp_path, QUICK_STEPS))) for name in QUICK
    }
    before = records["fgrpo"].measured[BEFORE][Mode.SAMPLED]
    grpo_t, fgrpo = (records[name].measured[AFTER][Mode.SAMPLED] for name in ("grpo_t", "fgrpo"))
    assert fgrpo["accuracy"].low > before["accuracy"].high
    assert fgrpo["inconsistency"].high < grpo_t["inconsistency"].low
    assert fgrpo["semantic_grounding"].low > grpo_t["semantic_grounding"].high
