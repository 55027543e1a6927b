"""The command `fgrpo`: thin, each subcommand calls one room."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from easyr1_fgrpo.evaluation.commands import audit, compare, evaluate
from easyr1_fgrpo.report.commands import figures, report

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
judge = typer.Typer(no_args_is_help=True, help="Judges: can they be trusted?")
app.add_typer(judge, name="judge")
for command in (evaluate, audit, compare, report, figures):
    app.command()(command)


@app.callback()
def main() -> None:
    """Faithful GRPO for verl."""


@app.command()
def doctor() -> None:
    """Show versions, platform, registrations and patches; exit 1 with the mend when something is missing."""
    from easyr1_fgrpo.verl_plugin.doctor import report

    raise typer.Exit(report())


@app.command()
def plan(
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[OVERRIDES...]", help="Hydra overrides")] = None,
    files: Annotated[bool, typer.Option(help="checkpoint and data must be here")] = True,
    sentences: Annotated[float, typer.Option(min=0, help="judged sentences of a trace, assumed")] = 8.0,
    rollout_s: Annotated[float, typer.Option(min=0.001, help="seconds of a step's rollouts, assumed")] = 60.0,
    correct: Annotated[float, typer.Option(min=0, max=1, help="share of correct rollouts, assumed")] = 0.65,
) -> None:
    """Count and check a run without starting it; exit 1 with every problem at once: key, value and the mend."""
    from easyr1_fgrpo.config.load import ConfigError
    from easyr1_fgrpo.verl_plugin.plan import Assumptions
    from easyr1_fgrpo.verl_plugin.plan import plan as planned

    try:
        code = planned(overrides or [], files=files, assumed=Assumptions(sentences, rollout_s, correct))
    except ConfigError as error:
        for line in error.lines:
            typer.echo(f"error: {line}", err=True)
        code = 1
    raise typer.Exit(code)


@app.command(add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def data(context: typer.Context) -> None:
    """Data preparation: sources, traces, the difficulty filter, contact sheets (`fgrpo data --help`)."""
    from data_prep.__main__ import app as commands

    commands(context.args, prog_name="fgrpo data")


@judge.command()
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
    out: Annotated[Path | None, typer.Option(help="write all numbers to this JSON file")] = None,
) -> None:
    """Ask the configured judge what the records' judge was asked: kappa, flips, and planted errors caught or missed.

    The judge comes from overrides, like in training: judge=openai_compatible fgrpo.judges.grounding.model=NAME. Exit
    code 1 is for bad input, 3 for a judge that misses planted errors or falls short of --min-kappa.
    """
    from easyr1_fgrpo.config.load import ConfigError, load_config, read_settings
    from easyr1_fgrpo.evaluation.judge_validation.command import run
    from easyr1_fgrpo.evaluation.judge_validation.run import Options

    overrides = [text for text in inputs if not Path(text).exists() and ("=" in text or text.startswith("~"))]
    traces = [Path(text) for text in inputs if text not in overrides]
    try:
        settings = read_settings(load_config(overrides))
    except ConfigError as error:
        for line in error.lines:
            typer.echo(f"error: {line}", err=True)
        raise typer.Exit(1) from None
    options = Options(traces, images, limit, seed, retest, training_judge)
    raise typer.Exit(run(settings, options, min_kappa, out))
