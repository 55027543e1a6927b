"""`fgrpo judge validate, serve, stop`: can a judge be trusted, and the servers it lives on.

Exit codes: 0 done, 1 for bad input or a server that did not start, 3 for a judge that is objected to.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from easyr1_fgrpo.cli.shared import Overrides, fail, out_file, read_overrides, refuse
from easyr1_fgrpo.terminal import printable

if TYPE_CHECKING:
    from easyr1_fgrpo.judge_validation.run import Options

OBJECTED = 3

app = typer.Typer(no_args_is_help=True, help="Judges: can they be trusted, and where do they live?")


@app.command()
def serve(overrides: Overrides = None) -> None:
    """Start the judge servers of a run.

    On the Ray cluster at RAY_ADDRESS; waits until they are healthy. They outlive this command, are restarted by Ray
    when they die, and end with `fgrpo judge stop`.
    """
    from reward_servers.cluster import run_command
    from reward_servers.launch import launch

    raise typer.Exit(run_command(launch, overrides or []))


@app.command()
def stop(overrides: Overrides = None) -> None:
    """End the judge servers of a run, and nothing else."""
    from reward_servers.cluster import run_command
    from reward_servers.stop import stop as end

    raise typer.Exit(run_command(end, overrides or []))


@app.command()
def validate(
    inputs: Annotated[
        list[str], typer.Argument(metavar="TRACES... [OVERRIDES...]", help="trace files; Hydra overrides")
    ],
    images: Annotated[Path | None, typer.Option(help="folder of the images; else images/ of each file's run")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="records at most, a seeded choice")] = None,
    seed: Annotated[int, typer.Option(min=0, help="chooses records, plants errors, resamples")] = 0,
    retest: Annotated[bool, typer.Option(help="ask everything twice and count changed verdicts")] = True,
    training_judge: Annotated[str, typer.Option(help="the training judge's name, if not the records' judge")] = "",
    min_kappa: Annotated[float | None, typer.Option(help="exit 3 when kappa's lower bound is below")] = None,
    out: Annotated[Path | None, typer.Option(help="write all numbers to this JSON file", callback=out_file)] = None,
) -> None:
    """Ask the configured judge what the records' judge was asked.

    Kappa, errors on each side and what to type for them, flips, and planted errors caught or missed.
    The judge comes from overrides, like in training:
    judge=openai_compatible fgrpo.judges.grounding.model=NAME. Exit code 1 is for bad input, 3 for a judge that
    misses planted errors or falls short of --min-kappa.
    """
    from rich.console import Console

    from easyr1_fgrpo.judge_validation.run import Options, judges_of
    from easyr1_fgrpo.judge_validation.run import validate as run
    from easyr1_fgrpo.judge_validation.table import report_tables

    overrides = [text for text in inputs if not Path(text).exists() and ("=" in text or text.startswith("~"))]
    settings = read_overrides(overrides)
    traces = [Path(text) for text in inputs if text not in overrides]
    options = Options(traces, images, limit, seed, retest, training_judge)
    if problems := _problems(options, out):
        refuse(problems)
    try:
        report = asyncio.run(run(judges_of(settings), options, settings.reward.deadline_s))
    except (ValueError, OSError) as error:
        fail(error)
    Console().print(report_tables(report))
    for item in report.agreements:
        for line in item.errors.lines:
            typer.echo(line)  # whole, to be copied: rich would break it
    for line in report.warnings:
        typer.echo(f"warning: {printable(line)}", err=True)
    objections = report.objections(min_kappa)
    for line in objections:
        typer.echo(f"objection: {printable(line)}", err=True)
    try:
        if out:
            report.save(out)
    except OSError as error:
        fail(f"--out {out}: cannot be written ({error.strerror})")
    if objections:
        raise typer.Exit(OBJECTED)


def _problems(options: Options, out: Path | None) -> list[str]:
    """What speaks against the arguments, found before the judge is asked for an hour."""
    problems = [f"{path}: no such trace file" for path in options.traces if not path.is_file()]
    if not options.traces:
        problems.append("no trace file given: name files like runs/NAME/traces/train-0.jsonl")
    if options.images and not options.images.is_dir():
        problems.append(f"--images {options.images}: no such folder")
    if out and (out.is_dir() or not out.absolute().parent.is_dir()):
        problems.append(f"--out {out}: name a file in a folder that exists")
    return problems
