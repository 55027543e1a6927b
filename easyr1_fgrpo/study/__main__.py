"""`python -m easyr1_fgrpo.study`: make the runs that are missing, then write the page. Needs a Ray cluster.

`bash recipes/run_miniature_study.sh` starts one. `--page-only` writes the page from what is finished.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from easyr1_fgrpo.study.arms import ARMS, MAIN, QUICK, QUICK_STEPS, SEEDS, Arm
from easyr1_fgrpo.study.figures import draw
from easyr1_fgrpo.study.page import page
from easyr1_fgrpo.study.records import Record, record_of
from easyr1_fgrpo.study.runs import RESULTS, Run, run_all, run_command

PAGE = RESULTS / "miniature.md"
SCRIPT = "bash recipes/run_miniature_study.sh"


def main(
    quick: Annotated[bool, typer.Option("--quick", help="GRPO-T and FGRPO, seed 0, fewer steps")] = False,
    arms: Annotated[str, typer.Option(help=f"comma-separated: {', '.join(ARMS)}; or all")] = ",".join(MAIN),
    seeds: Annotated[str, typer.Option(help="comma-separated")] = ",".join(map(str, SEEDS)),
    steps: Annotated[int | None, typer.Option(min=1, help="of RL, for every arm; else each arm's own")] = None,
    root: Annotated[Path, typer.Option(help="folder of the runs")] = Path("runs/miniature_study"),
    out: Annotated[Path | None, typer.Option("--page", help="Markdown file; with --quick ROOT/quick.md")] = None,
    page_only: Annotated[
        bool, typer.Option("--page-only", help="run nothing; take the records beside the page, too")
    ] = False,
) -> None:
    """Run the arms with every seed, keep what is finished, and write the page."""
    chosen = [ARMS[name] for name in QUICK] if quick else _arms(arms)
    numbers = [0] if quick else _seeds(seeds)
    # One seed, one world and one judge at a time: its runs share the server.
    together = [
        Run(arm, seed, root, steps=QUICK_STEPS if quick else steps or arm.steps)
        for seed in numbers
        for arm in sorted(chosen, key=lambda arm: (arm.held_out, arm.judge_errors))
    ]
    failures = [] if page_only else run_all(together, run_command)
    for failure in failures:
        typer.echo(f"error: {failure}", err=True)
    out = out or (root / "quick.md" if quick else PAGE)
    beside = out.with_suffix("")
    try:
        found = [_record(run, beside, also_made_elsewhere=page_only) for run in together]
        records = [record for record in found if record is not None]
        missing = [run for run, record in zip(together, found, strict=True) if record is None]
        text = page(records, missing, _typed(), [os.path.relpath(path, out.parent) for path in draw(records, beside)])
    except (OSError, ValueError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    typer.echo(f"written: {out}")
    if failures:
        raise typer.Exit(1)


def _record(run: Run, folder: Path, *, also_made_elsewhere: bool) -> Record | None:
    """The record of a run, which goes into the folder; of one that is not finished here, the one there, where wanted.

    A run that has just failed has no record, whatever another machine made of it.
    """
    path = Record.path(folder, run)
    if run.finished:
        record = record_of(run)
        record.save(path)
        return record
    kept = Record.load(path) if also_made_elsewhere and path.exists() else None
    return kept if kept and kept.is_of(run) else None


def _arms(names: str) -> list[Arm]:
    asked = list(ARMS) if names == "all" else names.split(",")
    if unknown := [name for name in asked if name not in ARMS]:
        raise _refused(f"--arms {','.join(unknown)}: choose from {', '.join(ARMS)}, or all")
    return [ARMS[name] for name in asked]


def _seeds(numbers: str) -> list[int]:
    asked = numbers.split(",")
    if unknown := [number for number in asked if not number.isdecimal()]:
        raise _refused(f"--seeds {','.join(unknown)}: write whole numbers from 0 with commas between them")
    return [int(number) for number in asked]


def _refused(problem: str) -> typer.Exit:
    typer.echo(f"error: {problem}", err=True)
    return typer.Exit(1)


def _typed() -> str:
    arguments = [argument for argument in sys.argv[1:] if argument != "--page-only"]
    return shlex.join([*SCRIPT.split(), *arguments])


if __name__ == "__main__":
    typer.run(main)
