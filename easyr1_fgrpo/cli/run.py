"""`fgrpo doctor, plan, stages, train, summary`: a run, from the machine it needs to its last table.

All but `doctor` take the same Hydra overrides. Exit codes: 0 done, 1 when something is wrong, one line each.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

from easyr1_fgrpo.cli.shared import Overrides, refuse, stopping


def doctor() -> None:
    """Show versions, platform, registrations and patches.

    Exit code 1 with the fix when something is missing.
    """
    if _on_easyr1():
        from easyr1_fgrpo.easyr1_plugin.doctor import report
    else:
        from easyr1_fgrpo.verl_plugin.preflight.doctor import report
    raise typer.Exit(report())


def plan(
    overrides: Overrides = None,
    files: Annotated[bool, typer.Option(help="checkpoint and data must be here")] = True,
    sentences: Annotated[float, typer.Option(min=0, help="judged sentences of a trace, assumed")] = 8.0,
    rollout_s: Annotated[float, typer.Option(min=0.001, help="seconds of a step's rollouts, assumed")] = 60.0,
    correct: Annotated[float, typer.Option(min=0, max=1, help="share of correct rollouts, assumed")] = 0.65,
    answer_s: Annotated[float, typer.Option(min=0, help="seconds of a model judge's answer, assumed")] = 1.0,
) -> None:
    """Count and check a run without starting it.

    Exit code 1 with every problem at once: key, value and the fix.

    With EasyR1 in place of verl its trainer's run: config=FILE.yaml and its keys (docs/easyr1.md).
    """
    from easyr1_fgrpo.preflight.counts import Assumptions

    assumed = Assumptions(sentences, rollout_s, correct, answer_s)
    if _on_easyr1(overrides or []):
        from easyr1_fgrpo.easyr1_plugin.run import plan as checked

        raise typer.Exit(checked(overrides or [], files=files, assumed=assumed))
    from easyr1_fgrpo.verl_plugin.preflight.plan import plan as planned

    raise typer.Exit(planned(overrides or [], files=files, assumed=assumed))


def stages(
    overrides: Overrides = None,
    alone: Annotated[bool, typer.Option("--alone", help="training need not be possible on this machine")] = False,
) -> None:
    """Make what the run starts from where it is missing.

    World and backbone of the miniature, warm start.
    """
    from easyr1_fgrpo.verl_plugin.run.stages import main

    raise typer.Exit(main(overrides or [], alone=alone))


def train(overrides: Overrides = None) -> None:
    """Train, from the last checkpoint on where there is one.

    With verl, on the Ray cluster at RAY_ADDRESS.

    With EasyR1 in place of verl its trainer trains: config=FILE.yaml and its keys (docs/easyr1.md).
    """
    if _on_easyr1(overrides or []):
        from easyr1_fgrpo.easyr1_plugin.run import train as trained

        raise typer.Exit(trained(overrides or []))
    from easyr1_fgrpo.verl_plugin.run.train import main

    raise typer.Exit(main(overrides or []))


def summary(
    run: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN] [OVERRIDES...]", help="the run's folder, or its overrides")
    ] = None,
) -> None:
    """Measure a run before and after RL on held-out questions.

    What it was trained with is read from its own config; `judge=...` and `evaluation.KEY=VALUE` say who judges and how.
    """
    from easyr1_fgrpo.evaluation.summary import main

    with stopping("the same command goes on where it was"):
        raise typer.Exit(main(run or []))


def _on_easyr1(overrides: Iterable[str] = ()) -> bool:
    """Whether this environment has EasyR1 in place of verl; a config file, which only EasyR1 takes, is refused else."""
    from easyr1_fgrpo.host import find_host

    host = find_host()
    if host is not None and host.kind == "easyr1":
        return True
    if any(override.startswith("config=") for override in overrides):
        from easyr1_fgrpo.easyr1_plugin.problems import host_problems

        refuse(host_problems())
    return False
