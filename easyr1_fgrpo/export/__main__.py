"""`python -m easyr1_fgrpo.export RUN_OR_CHECKPOINT OUT`: see `recipes/export_hf.sh`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from easyr1_fgrpo.evaluation.checkpoints import CheckpointError
from easyr1_fgrpo.export.checkpoint import export


def command(
    source: Annotated[Path, typer.Argument(metavar="RUN_OR_CHECKPOINT", help="a run, or a checkpoints/global_step_N")],
    out: Annotated[Path, typer.Argument(help="folder to write; must be new or empty")],
) -> None:
    """Write a run's checkpoint as a Hugging Face folder with a model card, ready for `vllm serve`."""
    try:
        checkpoint = export(source, out)
    except CheckpointError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{checkpoint.folder} -> {out}")


if __name__ == "__main__":
    typer.run(command)
