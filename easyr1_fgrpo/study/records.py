"""A finished run in numbers: all that the page and its figures need, small enough to lie beside the page.

So a study may be made in several sittings and on several machines; each record says where its run was made.
"""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from easyr1_fgrpo.evaluation.mode import Mode
from easyr1_fgrpo.evaluation.results.metrics import measure
from easyr1_fgrpo.evaluation.results.results import AFTER, BEFORE, FOLDER, BenchmarkResult, Evaluation
from easyr1_fgrpo.files import load_json, write_whole
from easyr1_fgrpo.miniature.worlds import WORLDS, WorldName
from easyr1_fgrpo.report.run_files import Series, read_run
from easyr1_fgrpo.statistics import Estimate
from easyr1_fgrpo.study.arms import ARMS
from easyr1_fgrpo.study.runs import INTERVENTION, Run
from easyr1_fgrpo.trace_index import index_traces

STEP_SECONDS = "timing_s/step"
DRAWN = re.compile(r"fgrpo/(rollouts/scored|dual/lambda_max|(?!judges/|rollouts/)\S+/(?!absent/)[^/]+)")
"""Training metrics that the figures draw."""

DIGITS = 5
"""Significant ones of a training metric."""

Measured = dict[str, dict[Mode, dict[str, Estimate]]]
"""Every measure of the checkpoint before and after RL, greedy and sampled."""


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Followed(_Frozen):
    """Questions with a flipped trace forced upon the model, and how many answers follow it."""

    questions: int = Field(gt=0)
    followed: int = Field(ge=0)
    right: int = Field(ge=0)
    probability: float


class Record(_Frozen):
    """One arm with one seed, finished.

    Attributes:
        arm, seed, steps, held_out: which run, see `Run`.
        overrides: what made its result, Hydra overrides.
        commit, machine: where it was made.
        checkpoints: hashes of the weights before and after RL; none in records of earlier versions.
        seconds: of its RL steps, as verl timed each; a step that was repeated after a kill counts once.
        measured: over all test questions.
        measured_held_out: over the questions of the type that RL did not see; None where it saw all.
        followed: before and after RL.
        training_steps: steps with training metrics, ascending.
        training: metrics by name, one value for each of these steps; None where it was not measured.
    """

    arm: str
    seed: int
    steps: int
    held_out: str
    overrides: tuple[str, ...]
    commit: str
    machine: str
    seconds: float
    measured: Measured
    measured_held_out: Measured | None
    followed: dict[str, Followed]
    training_steps: tuple[int, ...]
    training: dict[str, tuple[float | None, ...]]
    checkpoints: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _whole(self) -> Record:
        for when in (BEFORE, AFTER):
            if when not in self.followed:
                raise ValueError(f"followed.{when} is missing")
            if missing := [mode for mode in Mode if mode not in self.measured.get(when, {})]:
                raise ValueError(f"measured.{when}.{missing[0]} is missing")
        if f"trainer.total_training_steps={self.steps}" not in self.overrides:
            raise ValueError(f"steps={self.steps} is not what its overrides say")
        for name, column in self.training.items():
            if len(column) != len(self.training_steps):
                raise ValueError(f"training.{name} has {len(column)} values for {len(self.training_steps)} steps")
        return self

    @staticmethod
    def path(folder: Path, run: Run) -> Path:
        """Where the record of a run lies."""
        return folder / f"{run.arm.name}-s{run.seed}.json"

    def is_of(self, run: Run) -> bool:
        """Whether it came out of this very run, wherever that was made."""
        return self.overrides == tuple(run.choices)

    def save(self, path: Path) -> None:
        """Write the record, whole or not at all."""
        write_whole(path, self.model_dump_json() + "\n")

    @classmethod
    def load(cls, path: Path) -> Record:
        """Read a record.

        Raises:
            ValueError: when the file is no record.
            OSError: when it cannot be read.
        """
        return load_json(path, cls, "record of a run")


def recorded(folder: Path, world: WorldName, steps: int | None = None) -> list[tuple[Run, Record]]:
    """Every record of a folder with the run that it is of, by seed, arms in their order.

    Args:
        folder: of records.
        world: whose questions they are about.
        steps: of every run; None for each arm's own.

    Raises:
        ValueError: when a record is of no run of today's arms in this world; it names the file and what differs.
        OSError: when one cannot be read.
    """
    found = [(path, Record.load(path)) for path in sorted(folder.glob("*.json"))]
    known = {}
    for path, record in found:
        if record.arm not in ARMS:
            raise ValueError(f"{path}: arm={record.arm} is no arm of this version; move the file elsewhere")
        run = Run(ARMS[record.arm], record.seed, Path(), steps or ARMS[record.arm].steps, world)
        if path.name != Record.path(folder, run).name:
            raise ValueError(
                f"{path}: is a record of {record.arm}, seed {record.seed}; name it so, or move it elsewhere"
            )
        if not record.is_of(run):
            differing = sorted({*record.overrides} ^ {*run.choices})
            raise ValueError(
                f"{path}: made with other settings than {record.arm} has in world {world}, {' '.join(differing)}; make "
                "it again, or move it elsewhere"
            )
        known[record.arm, record.seed] = (run, record)
    in_order = [(arm, seed) for seed in sorted({seed for _, seed in known}) for arm in ARMS]
    return [known[key] for key in in_order if key in known]


def record_of(run: Run) -> Record:
    """The record of a finished run, from what it left in its folder.

    Raises:
        ValueError, OSError: when a file of it is missing or damaged.
    """
    metrics = read_run(run.folder).metrics
    if STEP_SECONDS not in metrics:
        raise ValueError(f"{run.folder}: metrics.jsonl holds no {STEP_SECONDS}")
    evaluation = Evaluation.load(run.folder)
    seed = int(evaluation.settings["seed"])
    held_out = _measured(evaluation, lambda result: _over_held_out(run, result, seed)) if run.arm.held_out else None
    drawn = {name: series for name, series in metrics.items() if DRAWN.fullmatch(name)}
    steps = sorted({step for series in drawn.values() for step in series.steps})
    return Record(
        arm=run.arm.name,
        seed=run.seed,
        steps=run.steps,
        held_out=run.held_out,
        overrides=tuple(run.choices),
        commit=run.note["commit"],
        machine=_machine(),
        seconds=sum(metrics[STEP_SECONDS].values),
        measured=_measured(evaluation, lambda result: result.metrics),
        measured_held_out=held_out,
        followed=_followed(run.folder / INTERVENTION),
        training_steps=tuple(steps),
        training={name: _column(series, steps) for name, series in drawn.items()},
        checkpoints={result.model: result.identity for result in evaluation.results},
    )


def keep_record(run: Run, folder: Path) -> None:
    """Write the record of a run into the folder of records, if it is finished.

    Raises:
        ValueError, OSError: when a file of it is missing or damaged.
    """
    if run.finished:
        record_of(run).save(Record.path(folder, run))


def _measured(evaluation: Evaluation, measures: Callable[[BenchmarkResult], dict[str, Estimate]]) -> Measured:
    """Every checkpoint and mode of a run's evaluation.

    Raises:
        ValueError: when one of them was not measured.
    """
    found = {(result.model, result.mode): result for result in evaluation.results}
    for when in (BEFORE, AFTER):
        for mode in Mode:
            if (when, mode) not in found:
                raise ValueError(f"{when} was not measured, {mode}")
    return {when: {mode: measures(found[when, mode]) for mode in Mode} for when in (BEFORE, AFTER)}


def _over_held_out(run: Run, result: BenchmarkResult, seed: int) -> dict[str, Estimate]:
    traces = run.folder / FOLDER / "traces" / f"{result.model}-{result.benchmark}-{result.mode}.jsonl"
    index = index_traces([traces])
    if index.problems:
        raise ValueError(index.problems[0])
    question = WORLDS[run.world].QUESTIONS[run.held_out]
    asked = {record.evaluation.item for record in index.records() if record.evaluation and record.question == question}
    return measure([outcome for outcome in result.outcomes if outcome.item in asked], seed)


def _followed(path: Path) -> dict[str, Followed]:
    try:
        return {when: Followed.model_validate(found) for when, found in json.loads(path.read_text()).items()}
    except ValueError as error:
        raise ValueError(f"{path} is no result of the intervention: {str(error).splitlines()[0]}") from error


def _column(series: Series, steps: list[int]) -> tuple[float | None, ...]:
    known = {step: float(f"{value:.{DIGITS}g}") for step, value in zip(series.steps, series.values, strict=True)}
    return tuple(known.get(step) for step in steps)


def _machine() -> str:
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        named = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        cpu = named[0] if named else cpu
    return f"{os.cpu_count()} CPU cores ({cpu}), Python {platform.python_version()}"
