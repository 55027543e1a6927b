"""Who is shown: runs, and the models of an `fgrpo evaluate`, each under one name and one colour on the whole page."""

from __future__ import annotations

from collections.abc import Sequence

from easyr1_fgrpo.report.evaluation_files import HELD_OUT, Evaluation
from easyr1_fgrpo.report.run_files import Run


def run_names(runs: Sequence[Run]) -> list[str]:
    """The directories' names; whole paths where two have the same."""
    names = [run.name for run in runs]
    return [run.name if names.count(run.name) == 1 else str(run.path) for run in runs]


def subject(run_name: str, evaluation: Evaluation) -> str:
    """Whose an evaluation is: the run's, or a model's of an `fgrpo evaluate`."""
    return run_name if evaluation.benchmark == HELD_OUT else f"{run_name}: {evaluation.label}"


def subjects(runs: Sequence[Run]) -> dict[str, int]:
    """Every subject with its number, which gives its colour."""
    names: list[str] = []
    for name, run in zip(run_names(runs), runs, strict=True):
        if run.config or run.metrics or run.trace_files or not run.evaluations:
            names.append(name)
        names += [subject(name, evaluation) for evaluation in run.evaluations]
    return {name: number for number, name in enumerate(dict.fromkeys(names))}
