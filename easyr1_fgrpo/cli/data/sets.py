"""`fgrpo data curate|difficulty|mix|card`: normalised sources -> the seeds of the SFT set, and the RL set."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from easyr1_fgrpo.cli.shared import fail, out_folder, refusing

EMBEDDER = "sentence-transformers/all-MiniLM-L6-v2"

Seed = Annotated[int, typer.Option(min=0, help="of all draws")]


def curate(
    portions: Annotated[list[str], typer.Argument(metavar="FOLDER=COUNT...", help="of normalised sources")],
    out: Annotated[Path, typer.Option(help="folder for seeds.parquet", callback=out_folder)],
    embedder: Annotated[str, typer.Option(help="sentence-transformers model: hub id or folder")] = EMBEDDER,
    seed: Seed = 0,
) -> None:
    """Choose representative questions for supervised traces.

    FGRPO: sat=1500 vgr=1500 visual_cot=3000.
    """
    from data_prep.record import in_and_out
    from data_prep.sets.curate import curate as run
    from data_prep.sets.portions import parse_portions

    with refusing(OSError, ValueError):
        sources = run(parse_portions(portions), out, embedder, seed)
    for summary in sources:
        typer.echo(f"{summary['source']}: {in_and_out(summary)}")


def difficulty(
    folders: Annotated[list[Path], typer.Argument(help="normalised sources (folders of shards)")],
    out: Annotated[Path, typer.Option(help="gets the ledger and a folder of shards a source", callback=out_folder)],
    model: Annotated[str, typer.Option(help="the base model: its name at the endpoint, or what vLLM loads")],
    base_url: Annotated[list[str] | None, typer.Option(help="of an endpoint; repeatable; without: vLLM")] = None,
    workers: Annotated[int, typer.Option(min=1, help="processes that ask, or vLLM engines")] = 1,
    concurrency: Annotated[int, typer.Option(min=1, help="calls under way of one worker at one URL")] = 64,
    deadline: Annotated[float, typer.Option(min=1.0, help="seconds after which a call is repeated")] = 300.0,
    api_key_env: Annotated[str, typer.Option(metavar="NAME", help="environment variable with the API key")] = "",
    gpus: Annotated[int, typer.Option(min=1, help="GPUs of one vLLM engine")] = 1,
    rollouts: Annotated[int, typer.Option(min=2, help="a row")] = 4,
    temperature: Annotated[float, typer.Option(min=0.0)] = 1.0,
    max_tokens: Annotated[int, typer.Option(min=1, help="of a response")] = 1024,
    extremes: Annotated[float, typer.Option(min=0.0, max=1.0, help="share of the always right or wrong kept")] = 0.1,
    max_failed: Annotated[float, typer.Option(min=0.0, max=1.0, help="share of rows that may lack a rollout")] = 0.05,
    seed: Seed = 0,
) -> None:
    """Keep the rows that the base model answers right sometimes.

    And a draw of the others. With RAY_ADDRESS the work is done on that cluster, else on this machine. The same
    command goes on after a kill. Exit code 1 is for bad input, 3 when too many rollouts failed: run the same
    command again when the cause is fixed.
    """
    from data_prep.difficulty.filter import Keep, TooManyFailed, filter_by_difficulty, report
    from data_prep.difficulty.rollout_engines import Endpoint, Vllm
    from data_prep.difficulty.rollouts import Sampling

    if not base_url and "RAY_ADDRESS" not in os.environ and find_spec("vllm") is None:
        fail("vLLM is not installed here: give --base-url of an endpoint, or RAY_ADDRESS of a cluster that has vLLM")
    asked = Endpoint(base_url, concurrency, workers, deadline, api_key_env) if base_url else Vllm(workers, gpus)
    sampling = Sampling(model, rollouts, temperature, max_tokens, seed)
    with refusing(OSError, ValueError):
        try:
            summaries = filter_by_difficulty(folders, out, asked, sampling, Keep(extremes, max_failed))
        except TooManyFailed as error:
            fail(error, code=3)
    for line in report(summaries):
        typer.echo(line)


def mix(
    portions: Annotated[list[str], typer.Argument(metavar="FOLDER=COUNT...", help="of filtered sources")],
    out: Annotated[Path, typer.Option(help="folder for train.parquet and val.parquet", callback=out_folder)],
    val: Annotated[int, typer.Option(min=1, help="rows for validation, out of the drawn ones")] = 500,
    seed: Seed = 0,
) -> None:
    """Draw the RL set.

    FGRPO: sat=15700 vgr=7000 visual_cot=13000 treevgr=13000.
    """
    from data_prep.record import in_and_out
    from data_prep.sets.mix import mix as run
    from data_prep.sets.portions import parse_portions

    with refusing(OSError, ValueError):
        sources = run(parse_portions(portions), out, val, seed)
    for summary in sources:
        typer.echo(f"{summary['source']}: {in_and_out(summary)}; {summary['train']} train, {summary['val']} val")


def card(
    rl: Annotated[Path, typer.Argument(help="folder of train.parquet and val.parquet")],
    stages: Annotated[list[Path], typer.Argument(help="folders of the stages on the way, in their order")],
) -> None:
    """Write the data card README.md of an RL set."""
    from data_prep.sets.card import write_card

    with refusing(OSError, ValueError):
        write_card(rl, stages)
    typer.echo(f"{rl / 'README.md'}: written")
