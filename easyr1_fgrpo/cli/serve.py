"""`fgrpo serve`: a checkpoint behind an OpenAI-compatible URL, where vLLM is not installed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from easyr1_fgrpo.cli.shared import refuse


def serve(
    checkpoint: Annotated[Path, typer.Argument(help="Hugging Face folder")],
    port: Annotated[int, typer.Option(min=1, max=65535)],
    host: Annotated[str, typer.Option(help="where to listen; this machine only when left out")] = "127.0.0.1",
    served_model_name: Annotated[str, typer.Option(help="the folder's name when left out")] = "",
    rows: Annotated[int, typer.Option(min=1, help="requests answered at a time")] = 32,
) -> None:
    """Serve a checkpoint on the CPU until the process is ended.

    A small stand-in for `vllm serve`.
    """
    from easyr1_fgrpo.checkpoints import checkpoint_problems
    from easyr1_fgrpo.evaluation.answers.serve import serve as run

    if problems := checkpoint_problems(checkpoint):
        refuse(problems)
    run(checkpoint, host, port, served_model_name or checkpoint.resolve().name, rows)
