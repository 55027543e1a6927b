"""Evaluations as the report reads them: of a run's checkpoints, or the results of an `fgrpo evaluate`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from easyr1_fgrpo.report.reading import json_object, tried

HELD_OUT = "held-out"
"""Benchmark name of an evaluation on a run's own questions."""


@dataclass(frozen=True)
class Estimate:
    """A measured number, its 95 % interval and how many were measured; None where there is none."""

    value: float | None
    low: float | None
    high: float | None
    n: int | None


@dataclass(frozen=True)
class Evaluation:
    """A checkpoint or model measured in one way.

    Attributes:
        label: the checkpoint ("before_RL", "after_RL") or the model's name.
        benchmark: `HELD_OUT` for the run's own questions, else the benchmark's name.
        mode: "greedy" or "sampled"; of a benchmark, the prompt style.
        metrics: by name, as `evaluation.metrics.measure` gives them; shares in [0, 1].
        path: the file with these numbers.
        trace_file: the judged rollouts, see `trace_files.read_evaluation_records`; None where they are not kept.
    """

    label: str
    benchmark: str
    mode: str
    metrics: dict[str, Estimate]
    path: Path
    trace_file: Path | None = None


def read_evaluations(path: Path, problems: list[str]) -> Iterator[Evaluation]:
    """The evaluations in a folder; a line goes to the problems for each file that holds none."""
    files = [*sorted(path.glob("results.json")), *sorted((path / "evaluation").glob("*.json"))]
    for file in files:
        found: list[Evaluation] = tried(_of_file, file, [], problems)
        yield from found


def _of_file(path: Path, problems: list[str]) -> list[Evaluation]:
    """The evaluations of one file: a `Result` of a checkpoint, or the `results.json` of an `fgrpo evaluate`."""
    content = json_object(path.read_bytes())
    try:
        if "results" in content:
            return [_benchmark_cell(path, cell) for cell in content["results"]]
        label, mode = str(content["name"]), str(content["inputs"]["mode"])
        return [_evaluation(path, label, HELD_OUT, mode, content["metrics"], f"{label}-{mode}")]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("it is no evaluation's result") from error


def _benchmark_cell(path: Path, cell: dict[str, Any]) -> Evaluation:
    model, benchmark = str(cell["model"]), str(cell["benchmark"])
    return _evaluation(path, model, benchmark, str(cell["style"]), cell["metrics"], f"{model}-{benchmark}")


def _evaluation(
    path: Path, label: str, benchmark: str, mode: str, metrics: dict[str, dict[str, Any]], traces: str
) -> Evaluation:
    numbers = {
        name: Estimate(_number(value["value"]), _number(value["low"]), _number(value["high"]), int(value["n"]))
        for name, value in metrics.items()
    }
    trace_file = path.parent / "traces" / f"{traces}.jsonl"
    return Evaluation(label, benchmark, mode, numbers, path, trace_file if trace_file.is_file() else None)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
