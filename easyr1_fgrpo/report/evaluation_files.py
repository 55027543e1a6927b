"""Evaluations as the report reads them: of a run's checkpoints, or the results of an `fgrpo evaluate`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from easyr1_fgrpo.evaluation.results.results import FOLDER, RESULTS, BenchmarkResult
from easyr1_fgrpo.evaluation.results.results import Evaluation as Measured
from easyr1_fgrpo.report.reading import tried
from easyr1_fgrpo.statistics import Estimate

HELD_OUT = "held-out"
"""Benchmark name of an evaluation on a run's own questions."""


@dataclass(frozen=True)
class Evaluation:
    """A checkpoint or model measured in one way.

    Attributes:
        label: the checkpoint ("before_RL", "after_RL") or the model's name.
        benchmark: `HELD_OUT` for the run's own questions, else the benchmark's name.
        mode: "greedy" or "sampled"; of a benchmark the prompt style, and "sampled" where it was.
        metrics: by name, as `evaluation.results.metrics.measure` gives them; shares in [0, 1].
        path: the file with these numbers.
        trace_file: the judged rollouts, see `trace_index.index_traces`; None where they are not kept.
        data, judge: the data set and who judged, "" where that is not known.
        checkpoint: the hash of the weights, shortened, or a served model's name; "" where that is not known.
        result: the whole of it, to be compared question by question; None where only the numbers are kept.
    """

    label: str
    benchmark: str
    mode: str
    metrics: dict[str, Estimate]
    path: Path
    trace_file: Path | None = None
    data: str = ""
    judge: str = ""
    checkpoint: str = ""
    result: BenchmarkResult | None = None


def read_evaluations(path: Path, problems: list[str]) -> Iterator[Evaluation]:
    """The evaluations in a folder; a line goes to the problems for each file that holds none."""
    files = [file for file in (path / RESULTS, path / FOLDER / RESULTS) if file.exists()]
    for file in files:
        found: list[Evaluation] = tried(_of_file, file, [], problems)
        yield from found
    if not files and any((path / FOLDER).glob("*-greedy.json")):
        problems.append(
            f"{path / FOLDER}: measured by an earlier version and left out; `fgrpo summary` with the run's overrides "
            "measures again"
        )


def _of_file(path: Path, problems: list[str]) -> list[Evaluation]:
    """What a `results.json` holds: models on benchmarks, or a run's checkpoints on its held-out questions."""
    try:
        measured = Measured.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ValueError("it is no evaluation's result") from error
    return [_evaluation(path, result, measured.judge) for result in measured.results]


def _evaluation(path: Path, result: BenchmarkResult, judge: str) -> Evaluation:
    mode = str(result.mode or "")
    of_a_run = result.benchmark == HELD_OUT
    traces = "-".join(filter(None, (result.model, result.benchmark, mode)))
    trace_file = path.parent / "traces" / f"{traces}.jsonl"
    return Evaluation(
        label=result.model,
        benchmark=result.benchmark,
        mode=mode if of_a_run else ", ".join(filter(None, (result.style, mode.removeprefix("greedy")))),
        metrics=result.metrics,
        path=path,
        trace_file=trace_file if trace_file.is_file() else None,
        data=result.data,
        judge=judge,
        checkpoint=result.checkpoint,
        result=result,
    )
