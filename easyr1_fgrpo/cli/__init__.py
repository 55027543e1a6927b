"""The command `fgrpo`: one file per subject; each command is thin, and imports what it calls only when it is called."""

from __future__ import annotations

import errno
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from easyr1_fgrpo.cli import data, evaluate, export, judge, miniature, report, run, serve, smoke, study
from easyr1_fgrpo.cli.shared import fail, stopping
from easyr1_fgrpo.extras import missing
from easyr1_fgrpo.ray_token import send_token
from easyr1_fgrpo.stopping import stoppable

DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENOTDIR}
"""Errors of a place to write to, which no command can do anything about."""


class Commands(TyperGroup):
    """Says in a line what is the machine's: a missing package, a disk that is full or read-only, a signal."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command: exit code 1 for the first two, 130 or 143 when a signal stopped it."""
        try:
            with stoppable(), stopping():
                return super().invoke(ctx)
        except ModuleNotFoundError as error:
            if error.name and (fix := missing(error.name)):
                fail(fix)
            raise
        except OSError as error:
            if error.errno in DISK:
                fail(error)
            raise


app = typer.Typer(
    cls=Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)
for command in (
    *(run.doctor, run.plan, run.stages, run.train, run.summary),
    *(evaluate.evaluate, evaluate.audit, evaluate.compare),
    *(report.report, report.figures, export.export, serve.serve),
):
    app.command()(command)
groups = {"judge": judge, "data": data, "study": study, "miniature": miniature, "smoke": smoke}
for name, group in groups.items():
    app.add_typer(group.app, name=name)


def _version(wanted: bool) -> None:
    if wanted:
        from easyr1_fgrpo import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Faithful GRPO: train, judge, evaluate and look at models whose reasoning can be trusted."""
    send_token()  # before a command imports Ray
