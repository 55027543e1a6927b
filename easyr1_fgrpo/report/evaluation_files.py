"""Evaluations as the report reads them: of a run's checkpoints, or the results of an `fgrpo evaluate`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from easyr1_fgrpo.report.reading import json_object, tried
from easyr1_fgrpo.statistics import Estimate

HELD_OUT = "held-out"
"""Benchmark name of an evaluation on a run's own questions."""


RESULTS, OF_A_RUN = "results.json", "evaluation"
"""What holds the numbers, and the folder in which a run has its own."""


@dataclass(frozen=True)
class Evaluation:
    """A checkpoint or model measured in one way.

    Attributes:
        label: the checkpoint ("before_RL", "after_RL") or the model's name.
        benchmark: `HELD_OUT` for the run's own questions, else the benchmark's name.
        mode: "greedy" or "sampled"; of a benchmark the prompt style, and "sampled" where it was.
        metrics: by name, as `evaluation.results.metrics.measure` gives them; shares in [0, 1].
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
    files = [file for file in (path / RESULTS, path / OF_A_RUN / RESULTS) if file.exists()]
    for file in files:
        found: list[Evaluation] = tried(_of_file, file, [], problems)
        yield from found
    if not files and any((path / OF_A_RUN).glob("*-greedy.json")):
        problems.append(
            f"{path / OF_A_RUN}: measured by an earlier version and left out; `fgrpo summary` with the run's overrides "
            "measures again"
        )


def _of_file(path: Path, problems: list[str]) -> list[Evaluation]:
    """What a `results.json` holds: models on benchmarks, or a run's checkpoints on its held-out questions."""
    content = json_object(path.read_bytes())
    try:
        return [_cell(path, cell) for cell in content["results"]]
    except (KeyError, TypeError, AttributeError, ValidationError) as error:
        raise ValueError("it is no evaluation's result") from error


def _cell(path: Path, cell: dict[str, Any]) -> Evaluation:
    model, benchmark, mode = str(cell["model"]), str(cell["benchmark"]), str(cell["mode"] or "")
    how = mode if benchmark == HELD_OUT else ", ".join(filter(None, (str(cell["style"]), mode.removeprefix("greedy"))))
    return _evaluation(path, model, benchmark, how, cell["metrics"], "-".join(filter(None, (model, benchmark, mode))))


def _evaluation(
    path: Path, label: str, benchmark: str, mode: str, metrics: dict[str, dict[str, Any]], traces: str
) -> Evaluation:
    numbers = {
        name: Estimate(**{part: _number(value[part]) for part in ("value", "low", "high")}, n=value["n"])
        for name, value in metrics.items()
    }
    trace_file = path.parent / "traces" / f"{traces}.jsonl"
    return Evaluation(label, benchmark, mode, numbers, path, trace_file if trace_file.is_file() else None)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
