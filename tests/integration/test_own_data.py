"""docs/your_own.md from the import to the page, on 200 questions in easy-vqa's format; few steps, the real recipe."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from easy_vqa import make

from easyr1_fgrpo.metrics_file import read_metrics

from .recipe_runs import ROOT, RUN_DEADLINE_S, SHORT, STEPS

pytestmark = pytest.mark.integration


def commands(folder: Path) -> list[str]:
    """The page's commands from the import on, with the recipe shortened and everything written into a folder."""
    (block,) = re.findall(
        r"```bash\n(.*?)```", (ROOT / "docs/your_own.md").read_text().partition("### Import")[0], re.DOTALL
    )
    lines = block[block.index("fgrpo data import") :].strip().splitlines()
    (recipe,) = [number for number, line in enumerate(lines) if line.startswith("bash recipes/run_fgrpo_tiny_cpu.sh")]
    # Enough for some responses to have the format, too little to promise that a step has something to learn from.
    own = ["stages.warm_start_steps=40", "fgrpo.stop_if_hopeless=false"]
    own += [f"stages.dir={folder}/stages", f"fgrpo.run_dir={folder}/run"]
    lines[recipe] = " ".join([lines[recipe], *SHORT, *own])
    places = {
        "data/easy_vqa": f"{folder}/data",
        "runs/fgrpo_easy_vqa-s0": f"{folder}/run",
        "runs/easy_vqa.html": f"{folder}/page.html",
    }
    for written, here in places.items():
        lines = [line.replace(written, here) for line in lines]
    return lines


def run(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", line], cwd=ROOT, env={**os.environ, "PATH": path, "EASY": str(folder / "easy")},
        capture_output=True, text=True, timeout=RUN_DEADLINE_S, check=False,
    )  # fmt: skip


def test_the_pages_commands_end_in_a_table_and_a_page_of_ones_own_data(tmp_path: Path) -> None:
    make(tmp_path / "easy")
    lines = commands(tmp_path)
    shown = []
    for line in lines:
        done = run(line, tmp_path)
        assert done.returncode == 0, f"{line}\n{done.stdout[-1000:]}\n{done.stderr[-2000:]}"
        shown.append(done.stdout)
    imported, _, validated, trained, _ = shown
    assert "in 200 = train 180 + val 20 + rejected 0" in imported
    assert "good: 2 files, 200 rows" in validated
    assert (tmp_path / "data/train.parquet.html").exists()

    metrics = read_metrics(tmp_path / "run/metrics.jsonl")
    assert sorted(metrics) == list(range(1, STEPS + 1))
    assert "fgrpo/consistency/multiplier" in metrics[STEPS]
    assert "fgrpo/spatial_grounding/multiplier" not in metrics[STEPS]

    results = json.loads((tmp_path / "run/evaluation/results.json").read_text())
    assert results["settings"]["judges"] == {"consistency": "conclusion", "grounding": "none"}
    assert {result["totals"]["rows"] for result in results["results"]} == {20}, "the rows of the validation file"
    for result in results["results"]:
        assert result["metrics"]["faithful_accuracy"]["value"] is None, "nobody judges grounding"
        assert result["metrics"]["inconsistency"]["n"] > 0
    assert "inconsistency" in trained
    assert f"{tmp_path}/data/val.parquet" in str(results["settings"]["benchmarks"])
    assert (tmp_path / "page.html").stat().st_size > 100_000

    other = run(lines[3].replace("train.parquet", "val.parquet"), tmp_path)  # other rows are another run
    assert other.returncode != 0
    assert "error: data.train_files=" in other.stderr
