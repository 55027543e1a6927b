"""`fgrpo data ...`: data preparation, from public sources to the sets that are trained on."""

from __future__ import annotations

import typer

from easyr1_fgrpo.cli.data import mcts, own, rows, sets

app = typer.Typer(no_args_is_help=True, help="Your own file, or public sources -> the SFT set and the RL set.")
app.command("import")(own.import_)
for command in (
    *(rows.normalise, rows.inspect, rows.validate, rows.easyr1),
    *(sets.curate, mcts.mcts, sets.difficulty, sets.mix, sets.card),
):
    app.command()(command)
