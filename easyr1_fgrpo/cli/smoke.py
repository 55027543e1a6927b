"""`fgrpo smoke machine, attention, report`: the stages of recipes/gpu_smoke.sh, with the overrides of its run."""

from __future__ import annotations

import typer

from easyr1_fgrpo.cli.shared import Overrides

app = typer.Typer(no_args_is_help=True, help="Does the GPU path work here? For recipes/gpu_smoke.sh.")


@app.command()
def machine(overrides: Overrides = None) -> None:
    """Show the card and the packages.

    Exit code 1 when a run on them cannot begin.
    """
    from easyr1_fgrpo.verl_plugin.preflight.smoke import machine as stage

    raise typer.Exit(stage(overrides or []))


@app.command()
def attention(overrides: Overrides = None) -> None:
    """Compare log-probs under flash-attn with PyTorch's.

    Padded and packed.
    """
    from easyr1_fgrpo.verl_plugin.preflight.smoke import attention as stage

    raise typer.Exit(stage(overrides or []))


@app.command()
def report(overrides: Overrides = None) -> None:
    """Show whether the GPU path is in order, as measured."""
    from easyr1_fgrpo.verl_plugin.preflight.smoke import report as stage

    raise typer.Exit(stage(overrides or []))
