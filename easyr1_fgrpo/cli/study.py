"""`fgrpo study run, findings, choices`: many runs of the miniature and the page about them. Needs a Ray cluster.

`bash recipes/run_miniature_study.sh` starts one. `--page-only` writes the page from what is finished.
"""

from __future__ import annotations

import os
import shlex
import sys
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from easyr1_fgrpo.cli.shared import fail, out_file
from easyr1_fgrpo.files import write_whole
from easyr1_fgrpo.study.arms import ARMS, MAIN, QUICK, QUICK_STEPS, SEEDS, Arm

if TYPE_CHECKING:
    from easyr1_fgrpo.miniature.worlds import WorldName
    from easyr1_fgrpo.study.records import Record
    from easyr1_fgrpo.study.runs import Run

RESULTS = Path("recipes/results")
FINDINGS = Path("docs/findings.md")
SCRIPT = "bash recipes/run_miniature_study.sh"

app = typer.Typer(no_args_is_help=True, help="The paper's finding in miniature: many runs, one page.")


@app.command()
def run(
    quick: Annotated[bool, typer.Option("--quick", help="GRPO-T and FGRPO, seed 0, fewer steps")] = False,
    arms: Annotated[
        str | None, typer.Option(help=f"comma-separated: {', '.join(ARMS)}; or all. The paper's arms")
    ] = None,
    seeds: Annotated[str | None, typer.Option(help=f"comma-separated; {','.join(map(str, SEEDS))}")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="of RL, for every arm; else each arm's own")] = None,
    world: Annotated[
        str, typer.Option(help="two_step or four_way; the latter's runs and page are miniature_four_way...")
    ] = "two_step",
    root: Annotated[Path | None, typer.Option(help="folder of the runs; runs/miniature_study")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--page",
            help=f"Markdown file; {RESULTS}/miniature.md, with --quick ROOT/quick.md, with --steps N ROOT/N_steps.md",
            callback=out_file,
        ),
    ] = None,
    page_only: Annotated[
        bool,
        typer.Option(
            "--page-only", help="run nothing; without --arms, ask for no more than the records beside the page"
        ),
    ] = False,
) -> None:
    """Run the arms with every seed, and write the page of all records beside it.

    What is finished is used again.
    """
    from easyr1_fgrpo.study.figures import draw
    from easyr1_fgrpo.study.page import page
    from easyr1_fgrpo.study.records import keep_record
    from easyr1_fgrpo.study.runs import STUDIED, Run, run_all, run_command, study_of

    studied = next((name for name in STUDIED if name == world), None)
    if studied is None:
        fail(f"--world {world}: choose {' or '.join(STUDIED)}")
    study = study_of(studied)
    root = root or Path(f"runs/{study}_study")
    length = QUICK_STEPS if quick else steps
    own = root / ("quick.md" if quick else f"{steps}_steps.md")  # runs of another length are no records of the study
    out = out or (own if length else RESULTS / f"{study}.md")
    beside = out.with_suffix("")
    if quick and (arms or seeds or steps):
        fail("--quick is two arms, seed 0 and 60 steps; leave out --arms, --seeds and --steps, or --quick")
    everything = page_only and not (quick or arms or seeds or steps)
    wanted = [(run.arm, run.seed) for run, _ in _recorded(beside, studied, length)] if everything else []
    if not wanted:
        chosen = [ARMS[name] for name in QUICK] if quick else _arms(arms or ",".join(MAIN))
        numbers = [0] if quick else _seeds(seeds or ",".join(map(str, SEEDS)))
        wanted = [(arm, seed) for seed in numbers for arm in chosen]
    # One seed, one world and one judge at a time: its runs share the server.
    together = [
        Run(arm, seed, root, steps=length or arm.steps, world=studied)
        for arm, seed in sorted(wanted, key=lambda one: (one[1], one[0].held_out, one[0].judge_errors, one[0].errors))
    ]
    # Each record is written at once: whatever stops the study loses one run.
    keep = partial(keep_record, folder=beside)
    failures = [] if page_only else run_all(together, run_command, keep)
    for failure in failures:
        typer.echo(f"error: {failure}", err=True)
    try:
        for run in together:
            keep(run)
        found = {(run.arm, run.seed): record for run, record in _recorded(beside, studied, length)}
        missing = [
            run
            for run in together
            if (run.arm, run.seed) not in found or not (page_only or run.finished)  # what failed, others may have made
        ]
        for run in missing:
            found.pop((run.arm, run.seed), None)
        records = list(found.values())
        figures = [os.path.relpath(path, out.parent) for path in draw(records, beside)]
        text = page(records, missing, _typed(), figures, studied)
    except (OSError, ValueError) as error:
        fail(error)
    write_whole(out, text)
    typer.echo(f"written: {out}, from {len(records)} runs")
    if failures:
        raise typer.Exit(1)


@app.command()
def findings(
    page: Annotated[Path, typer.Option(help="Markdown file; pictures beside it", callback=out_file)] = FINDINGS,
    results: Annotated[Path, typer.Option(help="folder of the studies' records")] = RESULTS,
) -> None:
    """Answer the study's questions from its records."""
    from easyr1_fgrpo.study.findings import write_findings
    from easyr1_fgrpo.study.records import recorded
    from easyr1_fgrpo.study.runs import STUDIED, study_of

    folders = {world: results / study_of(world) for world in STUDIED}
    try:
        found = {world: [record for _, record in recorded(folder, world)] for world, folder in folders.items()}
        if not any(found.values()):
            raise ValueError(f"no record of a run in {' or '.join(map(str, folders.values()))}; {SCRIPT} makes some")
        missing = write_findings(found, page)
    except (OSError, ValueError) as error:
        fail(error)
    for question in missing:
        typer.echo(f"not run yet: {question.title}", err=True)
    typer.echo(f"written: {page}, from {sum(map(len, found.values()))} runs")


@app.command()
def choices(run: Annotated[Path, typer.Argument(help="run directory of a miniature, arm=fgrpo")]) -> None:
    """Print what the paper's open choices do to advantages.

    Those of a run: a line for each choice, in Markdown.
    """
    from easyr1_fgrpo.report.run_files import read_run
    from easyr1_fgrpo.study.choices import CHOICES, check_replay, effect, largest_move, read_steps
    from easyr1_fgrpo.tables import NOTHING, markdown_table
    from easyr1_fgrpo.terminal import progress_bar

    try:
        found = read_run(run)
        constraints = found.config.get("fgrpo.constraint_keys")
        if not isinstance(constraints, list) or not constraints:
            raise ValueError(f"{run}: fgrpo.constraint_keys={constraints}: name a run with constraints (arm=fgrpo)")
        steps = read_steps(found)
        for step in steps:
            check_replay(step, constraints)
    except (ValueError, OSError) as error:
        fail(error)
    rows = []
    for choice in progress_bar(CHOICES, unit="choice", leave=False, disable=None):
        does = effect(steps, constraints, choice)
        numbers = (does.correlation, 100 * does.other_sign, does.size, does.right_minus_wrong)
        rows.append([choice.about, *(NOTHING if x is None else f"{x:.3f}" for x in numbers)])
    header = ("choice", "correlation", "other sign %", "size", "right minus wrong")
    typer.echo(markdown_table(header, rows, escape=False))
    n_rollouts = sum(len(step.records) for step in steps)
    typer.echo(
        f"\n{n_rollouts} rollouts; no multiplier moved by more than {largest_move(steps, constraints):.4f} in a step"
    )


def _recorded(folder: Path, world: WorldName, steps: int | None) -> list[tuple[Run, Record]]:
    from easyr1_fgrpo.study.records import recorded

    try:
        return recorded(folder, world, steps)
    except (OSError, ValueError) as error:
        fail(error)


def _arms(names: str) -> list[Arm]:
    asked = list(ARMS) if names == "all" else _listed("--arms", names)
    for name in asked:
        if name not in ARMS:
            near = ", ".join(get_close_matches(name, ARMS)) or ", ".join(MAIN)
            fail(f"--arms {name}: no such arm; choose from {near} (--help has all), or all")
    return [ARMS[name] for name in asked]


def _seeds(numbers: str) -> list[int]:
    asked = _listed("--seeds", numbers)
    if unknown := [number for number in asked if not number.isdecimal() or int(number) >= 2**32]:
        fail(f"--seeds {','.join(unknown)}: write whole numbers from 0 to 4294967295 with commas between them")
    return [int(number) for number in asked]


def _listed(option: str, text: str) -> list[str]:
    """What stands between commas, each once: the same run twice would count as two."""
    found = [part.strip() for part in text.split(",")]
    if "" in found:
        fail(f"{option} {text!r}: nothing between two commas; write names with single commas between them")
    if twice := [part for part in found if found.count(part) > 1]:
        fail(f"{option} {text}: {twice[0]} is there twice; give it once")
    return found


def _typed() -> str:
    given = sys.argv[3:] if sys.argv[1:3] == ["study", "run"] else sys.argv[1:]
    some = any(argument.startswith(("--arms", "--seeds", "--quick")) for argument in given)
    arguments = [argument for argument in given if argument != "--page-only" or not some]
    return shlex.join([*SCRIPT.split(), *arguments])
