"""The command `fgrpo`: one file per subject; each command is thin, and imports what it calls only when it is called."""

from __future__ import annotations

import typer

from easyr1_fgrpo.cli import data, evaluate, export, judge, miniature, report, run, serve, study

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
for command in (
    *(run.doctor, run.plan, run.stages, run.train, run.summary),
    *(evaluate.evaluate, evaluate.audit, evaluate.compare),
    *(report.report, report.figures, export.export, serve.serve),
):
    app.command()(command)
for name, group in {"judge": judge.app, "data": data.app, "study": study.app, "miniature": miniature.app}.items():
    app.add_typer(group, name=name)


@app.callback()
def main() -> None:
    """Faithful GRPO: train, judge, evaluate and look at models whose reasoning can be trusted."""
