"""The paper's figures from the records of runs: the report draws them, as it draws those of a run directory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from easyr1_fgrpo.report.evaluation_files import HELD_OUT, Evaluation
from easyr1_fgrpo.report.figures.formats import Format
from easyr1_fgrpo.report.figures.write import write_figures
from easyr1_fgrpo.report.run_files import Run, Series
from easyr1_fgrpo.study.arms import ARMS, MAIN
from easyr1_fgrpo.study.records import Record


def draw(records: Sequence[Record], folder: Path) -> list[Path]:
    """Draw Figures 3, 4 and 8 of the paper's own arms, and say what they lack.

    Returns:
        The files.
    """
    papers = [
        record for record in records if record.arm in MAIN and ARMS[record.arm].overrides == (f"arm={record.arm}",)
    ]
    shown = [_as_run(record, folder) for record in papers]
    written, problems = write_figures(shown, folder, [Format.SVG]) if shown else ([], [])
    for line in problems:
        typer.echo(line, err=True)
    return written


def _as_run(record: Record, folder: Path) -> Run:
    """What the report would have read from the run's directory, as far as the record goes."""
    chosen = dict(override.split("=", 1) for override in record.overrides)
    data, judge = f"{chosen['dataset']}, each seed its own", chosen["judge"]
    evaluations = tuple(
        Evaluation(
            when, HELD_OUT, mode, found, folder,
            data=f"test questions of {data}", judge=judge, checkpoint=record.checkpoints.get(when, "")[:12],
        )
        for when, modes in record.measured.items()
        for mode, found in modes.items()
    )  # fmt: skip
    return Run(
        path=folder / f"{record.arm}-s{record.seed}",
        name=f"s{record.seed}",
        arm=record.arm,
        seed=record.seed,
        config={
            "trainer.experiment_name": record.arm,
            "data.train_files": data,
            "fgrpo.judges.consistency.server": judge,
        },
        total_steps=record.steps,
        last_step=max(record.training_steps, default=None),
        finished=True,
        metrics={name: _series(record.training_steps, column) for name, column in record.training.items()},
        evaluations=evaluations,
        trace_files=(),
        problems=(),
    )


def _series(steps: Sequence[int], column: Sequence[float | None]) -> Series:
    known = {step: value for step, value in zip(steps, column, strict=True) if value is not None}
    return Series(tuple(known), tuple(known.values()))
