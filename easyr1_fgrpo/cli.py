"""The command `fgrpo`: thin, each subcommand calls one room."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def main() -> None:
    """Faithful GRPO for verl."""


@app.command()
def doctor() -> None:
    """Show versions, platform, registrations and patches; exit 1 with the mend when something is missing."""
    from easyr1_fgrpo.verl_plugin.doctor import report

    raise typer.Exit(report())
