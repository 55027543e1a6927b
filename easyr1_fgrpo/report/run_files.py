"""A run directory as the report reads it: what is there, and one line for everything that is missing or damaged.

Also reads the folder of an `fgrpo evaluate`: it has no training, but evaluations with traces.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from easyr1_fgrpo.traces import TraceRecord, read_traces

HELD_OUT = "held-out"
"""Benchmark name of an evaluation on a run's own questions."""

SPLITS = ("train", "val")
"""First parts of the names of training's trace files."""

T = TypeVar("T")


@dataclass(frozen=True)
class Series:
    """One metric over training: steps ascend, values are finite, a missing measurement is simply not there."""

    steps: tuple[int, ...]
    values: tuple[float, ...]


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
        trace_file: the judged rollouts, see `read_evaluation_records`; None where they are not kept.
    """

    label: str
    benchmark: str
    mode: str
    metrics: dict[str, Estimate]
    path: Path
    trace_file: Path | None = None


@dataclass(frozen=True)
class Run:
    """What a run directory holds.

    Attributes:
        path, name: the directory and its last part.
        arm, seed: of the config; None where it does not say.
        config: the resolved config by dotted key, `{}` when missing.
        total_steps: steps that the config asks for; None when it leaves that to the data.
        last_step: the last step with metrics; 0 is the validation before training.
        finished: whether `last_step` is `total_steps`; False where that is not known.
        metrics: by the names of metrics.jsonl.
        evaluations: of the run's checkpoints, or of an `fgrpo evaluate`.
        trace_files: of training and its validations, see `read_records`.
        problems: one line each: what is missing or damaged.
    """

    path: Path
    name: str
    arm: str | None
    seed: int | None
    config: dict[str, object]
    total_steps: int | None
    last_step: int | None
    finished: bool
    metrics: dict[str, Series]
    evaluations: tuple[Evaluation, ...]
    trace_files: tuple[Path, ...]
    problems: tuple[str, ...]


def read_run(path: Path) -> Run:
    """Read everything of a run but its traces.

    Raises:
        ValueError: when `path` is no run directory at all.
    """
    path = Path(path)
    if not path.is_dir():
        raise ValueError(f"{path}: no such directory; name a run directory or the folder of an `fgrpo evaluate`")
    if not any((path / name).exists() for name in ("config.yaml", "metrics.jsonl", "traces", "results.json")):
        raise ValueError(f"{path}: no run directory, it has no config.yaml, metrics.jsonl, traces/ or results.json")
    problems: list[str] = []
    trained = (
        any((path / name).exists() for name in ("config.yaml", "metrics.jsonl")) or not (path / "results.json").exists()
    )
    config: dict[str, object] = _tried(_read_config, path / "config.yaml", {}, problems) if trained else {}
    metrics: dict[str, Series] = _tried(_read_metrics, path / "metrics.jsonl", {}, problems) if trained else {}
    trace_files = tuple(sorted(file for split in SPLITS for file in (path / "traces").glob(f"{split}-*.jsonl")))
    if trained and not trace_files:
        problems.append(f"{path / 'traces'}: no traces")
    total, arm, seed = (config.get(key) for key in ("trainer.total_training_steps", "arm", "seed"))
    total_steps = total if isinstance(total, int) else None
    last_step = max((series.steps[-1] for series in metrics.values()), default=None)
    return Run(
        path=path,
        name=path.resolve().name,
        arm=None if arm is None else str(arm),
        seed=seed if isinstance(seed, int) else None,
        config=config,
        total_steps=total_steps,
        last_step=last_step,
        finished=total_steps is not None and last_step is not None and last_step >= total_steps,
        metrics=metrics,
        evaluations=tuple(_evaluations(path, problems)),
        trace_files=trace_files,
        problems=tuple(problems),
    )


def read_records(run: Run) -> tuple[list[TraceRecord], list[str]]:
    """The rollouts of training and its validations; the last record of a key wins.

    Returns:
        The records, and one line for each file with lines that are none.
    """
    return _read_trace_files(run.trace_files)


def read_evaluation_records(evaluation: Evaluation) -> tuple[list[TraceRecord], list[str]]:
    """The judged rollouts of one evaluation; several evaluations ask the same questions, so their keys are the same."""
    return _read_trace_files([evaluation.trace_file] if evaluation.trace_file else [])


# ---------------------------------------------------------------------- config and metrics


def _tried(read: Callable[[Path, list[str]], T], path: Path, otherwise: T, problems: list[str]) -> T:
    """What `read` makes of a file; `otherwise`, and a line among the problems, when it cannot."""
    try:
        return read(path, problems)
    except FileNotFoundError:
        problems.append(f"{path}: missing")
    except (OSError, ValueError, yaml.YAMLError) as error:
        problems.append(f"{path}: cannot be read ({str(error).partition(chr(10))[0]})")
    return otherwise


def _read_config(path: Path, problems: list[str]) -> dict[str, object]:
    config = yaml.safe_load(path.read_bytes())
    if not isinstance(config, dict):
        raise ValueError("it holds no mapping")
    return dict(_flat(config, ""))


def _flat(config: dict[Any, Any], prefix: str) -> Iterator[tuple[str, object]]:
    for key, value in config.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _read_metrics(path: Path, problems: list[str]) -> dict[str, Series]:
    """Metrics by name; the last line of a step wins, as after a resume."""
    steps: dict[int, dict[str, Any]] = {}
    damaged, not_finite = 0, Counter[str]()
    for line in path.read_bytes().splitlines():
        record = _json_object(line)
        step, metrics = record.get("step"), record.get("metrics")
        if isinstance(step, int) and isinstance(metrics, dict):
            steps[step] = metrics
        else:
            damaged += bool(line.strip())
    columns: dict[str, dict[int, float]] = {}
    for step in sorted(steps):
        for name, value in steps[step].items():
            if isinstance(value, int | float) and math.isfinite(value):
                columns.setdefault(name, {})[step] = float(value)
            else:
                not_finite[name] += 1
    if damaged:
        problems.append(f"{path}: {damaged} torn or damaged lines are left out")
    if not_finite:
        names = ", ".join(sorted(not_finite)[:3]) + (", ..." if len(not_finite) > 3 else "")
        problems.append(f"{path}: {not_finite.total()} values are no finite number and are left out ({names})")
    if not columns:
        problems.append(f"{path}: no step with metrics")
    return {name: Series(tuple(column), tuple(column.values())) for name, column in columns.items()}


def _json_object(line: bytes) -> dict[str, Any]:
    """The object in a line, `{}` when it holds none."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


# ---------------------------------------------------------------------- evaluations


def _evaluations(path: Path, problems: list[str]) -> Iterator[Evaluation]:
    files = [*sorted(path.glob("results.json")), *sorted((path / "evaluation").glob("*.json"))]
    for file in files:
        found: list[Evaluation] = _tried(_read_evaluations, file, [], problems)
        yield from found


def _read_evaluations(path: Path, problems: list[str]) -> list[Evaluation]:
    """The evaluations of one file: a `Result` of a checkpoint, or the `results.json` of an `fgrpo evaluate`."""
    content = _json_object(path.read_bytes())
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


# ---------------------------------------------------------------------- traces


def _read_trace_files(paths: Sequence[Path]) -> tuple[list[TraceRecord], list[str]]:
    problems: list[str] = []
    readable = []
    for path in paths:
        try:
            path.open("rb").close()
            readable.append(path)
        except OSError as error:
            problems.append(f"{path}: cannot be read ({error.strerror})")
    records, bad = read_traces(readable)
    if bad:
        problems += [line for path in readable if (line := _bad_lines(path))]
    return records, problems


def _bad_lines(path: Path) -> str:
    """What is wrong with a trace file, "" when nothing is."""
    torn, other, first = 0, 0, ""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                TraceRecord.model_validate_json(line)
            except ValidationError as error:
                if _json_object(line):
                    other += 1
                    where = ".".join(map(str, error.errors()[0]["loc"]))
                    first = first or f", first in line {number}: {where}: {error.errors()[0]['msg']}"
                else:
                    torn += 1
    if not torn + other:
        return ""
    return f"{path}: left out are {torn} torn lines and {other} records of another schema{first}"
