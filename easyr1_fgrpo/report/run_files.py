"""A run directory as the report reads it: what is there, and one line for everything that is missing or damaged.

Also reads the folder of an `fgrpo evaluate`: it has no training, but evaluations with traces.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from easyr1_fgrpo.files import json_object
from easyr1_fgrpo.report.evaluation_files import Evaluation, read_evaluations
from easyr1_fgrpo.report.reading import tried

SPLITS = ("train", "val")
"""First parts of the names of training's trace files."""


@dataclass(frozen=True)
class Series:
    """One metric over training: steps ascend, values are finite, a missing measurement is simply not there."""

    steps: tuple[int, ...]
    values: tuple[float, ...]


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
        trace_files: of training and its validations, see `trace_index.index_traces`.
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
    config: dict[str, object] = tried(_read_config, path / "config.yaml", {}, problems) if trained else {}
    metrics: dict[str, Series] = tried(_read_metrics, path / "metrics.jsonl", {}, problems) if trained else {}
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
        evaluations=tuple(read_evaluations(path, problems)),
        trace_files=trace_files,
        problems=tuple(problems),
    )


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
        record = json_object(line)
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
