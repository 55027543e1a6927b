"""From the files that runs left to numbers over seeds. Files only; what is missing stays missing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from scipy.stats import t

from easyr1_fgrpo.evaluation.metrics import measure
from easyr1_fgrpo.evaluation.results import Estimate, Mode, Result
from easyr1_fgrpo.miniature.worlds import WORLDS
from easyr1_fgrpo.report.run_files import read_run
from easyr1_fgrpo.study.runs import INTERVENTION, Run
from easyr1_fgrpo.traces import read_traces

BEFORE, AFTER = "before_RL", "after_RL"
STEP_SECONDS = "timing_s/step"
MEASURES = ("accuracy", "inconsistency", "semantic_grounding", "spatial_grounding")

Measured = Callable[[Run, Mode, str], dict[str, Estimate]]
"""The measures of a run in a mode, before or after RL."""


def measured(run: Run, mode: Mode, when: str) -> dict[str, Estimate]:
    """Every measure over all test questions.

    Raises:
        ValueError, OSError: when the result is missing or damaged.
    """
    return Result.load(Result.path(run.folder / "evaluation", when, mode)).metrics


def measured_on_held_out(run: Run, mode: Mode, when: str) -> dict[str, Estimate]:
    """Every measure over the test questions of the type that RL did not see.

    Raises:
        ValueError, OSError: when the result or its traces are missing or damaged.
    """
    folder = run.folder / "evaluation"
    records, n_bad = read_traces([folder / "traces" / f"{when}-{mode}.jsonl"])
    if n_bad:
        raise ValueError(f"{folder / 'traces' / f'{when}-{mode}.jsonl'}: {n_bad} damaged lines")
    question = WORLDS["two_step"].QUESTIONS[run.held_out]
    asked = {(record.split, record.index) for record in records if record.question == question}
    result = Result.load(Result.path(folder, when, mode))
    return measure([item for item in result.items if (item.split, item.index) in asked], result.inputs.seed)


def row(runs: Sequence[Run], mode: Mode, when: str = AFTER, of: Measured = measured) -> dict[str, Estimate]:
    """Every measure over the seeds of an arm."""
    found = [of(run, mode, when) for run in runs]
    return {name: over_seeds([metrics[name] for metrics in found]) for name in MEASURES}


def minus(runs: Sequence[Run], reference: Sequence[Run], mode: Mode, of: Measured = measured) -> dict[str, Estimate]:
    """Every measure of an arm minus the reference's with the same seed, over the seeds that both have."""
    theirs = {run.seed: run for run in reference}
    pairs = [(of(run, mode, AFTER), of(theirs[run.seed], mode, AFTER)) for run in runs if run.seed in theirs]
    return {name: _t_interval(_differences((a[name].value, b[name].value) for a, b in pairs)) for name in MEASURES}


def followed(runs: Sequence[Run], when: str = AFTER) -> Estimate:
    """Share of questions whose answer follows a forced, flipped trace, over seeds.

    Raises:
        ValueError, OSError: when a file is missing or damaged.
    """
    shares = []
    for run in runs:
        numbers = json.loads((run.folder / INTERVENTION).read_text())[when]
        shares.append(numbers["followed"] / numbers["questions"])
    return _clipped(_t_interval(shares))


def over_seeds(estimates: Iterable[Estimate]) -> Estimate:
    """Mean over seeds with Student's interval, cut to [0, 1]; with one seed, its own interval over questions.

    `n` is the number of seeds that have a value.
    """
    known = [estimate for estimate in estimates if estimate.value is not None]
    if len(known) == 1:
        return known[0].model_copy(update={"n": 1})
    return _clipped(_t_interval([estimate.value for estimate in known if estimate.value is not None]))


def duration(runs: Iterable[Run]) -> float:
    """Seconds of all RL steps of runs, as verl timed each; a step that was repeated after a kill counts once.

    Raises:
        ValueError: when a run has no such times.
    """
    return sum(_seconds(run) for run in runs)


def commits(runs: Iterable[Run]) -> list[str]:
    """The commits that runs were finished at."""
    return sorted({run.note["commit"] for run in runs})


def _seconds(run: Run) -> float:
    steps = read_run(run.folder).metrics.get(STEP_SECONDS)
    if steps is None:
        raise ValueError(f"{run.folder}: metrics.jsonl holds no {STEP_SECONDS}")
    return sum(steps.values)


def _differences(pairs: Iterable[tuple[float | None, float | None]]) -> list[float]:
    return [a - b for a, b in pairs if a is not None and b is not None]


def _t_interval(values: Sequence[float]) -> Estimate:
    """Mean with Student's 95 % interval; none over fewer than two values, or equal ones."""
    n = len(values)
    if n == 0:
        return Estimate(value=None, low=None, high=None, n=0)
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(n)) if n > 1 else 0.0
    if error == 0.0:
        return Estimate(value=mean, low=None, high=None, n=n)
    reach = float(t.ppf(0.975, n - 1)) * error
    return Estimate(value=mean, low=mean - reach, high=mean + reach, n=n)


def _clipped(estimate: Estimate) -> Estimate:
    if estimate.low is None or estimate.high is None:
        return estimate
    return estimate.model_copy(update={"low": max(estimate.low, 0.0), "high": min(estimate.high, 1.0)})
