"""`fgrpo export`: a run's checkpoint for use elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from easyr1_fgrpo.cli.shared import fail, new_folder


def export(
    source: Annotated[Path, typer.Argument(metavar="RUN_OR_CHECKPOINT", help="a run, or a checkpoints/global_step_N")],
    out: Annotated[Path, typer.Argument(help="folder to write; must be new or empty", callback=new_folder)],
) -> None:
    """Write a run's checkpoint as a Hugging Face folder.

    With a model card, ready for `vllm serve`.
    """
    from easyr1_fgrpo.checkpoints import CheckpointError
    from easyr1_fgrpo.export.checkpoint import export as run

    try:
        checkpoint = run(source, out)
    except (CheckpointError, OSError) as error:
        fail(error)
    typer.echo(f"{checkpoint.folder} -> {out}")
