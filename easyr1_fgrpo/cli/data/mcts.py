"""`fgrpo data mcts ROWS --out DIR --base-url URL --model NAME`: supervised traces by tree search."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from data_prep.mcts.coordinates import Convention, PixelBudget
from easyr1_fgrpo.cli.shared import fail, out_folder, refusing

NOT_ALL = 3
"""Exit code when questions are left."""

_DEFAULT = PixelBudget()


def mcts(
    rows: Annotated[Path, typer.Argument(help="parquet file or folder of shards: the seeds")],
    out: Annotated[
        Path,
        typer.Option(
            help="folder for trees/ and sft/ or sft_thousand/; a run that was cut off goes on there",
            callback=out_folder,
        ),
    ],
    base_url: Annotated[list[str], typer.Option(help="of the teacher, as http://host:8000/v1; give each of several")],
    model: Annotated[str, typer.Option(help="the teacher's name there, e.g. Qwen/Qwen2.5-VL-72B-Instruct")],
    api_key_env: Annotated[str, typer.Option(metavar="NAME", help="environment variable with the API key")] = "",
    coordinates: Annotated[Convention, typer.Option(help="how the teacher writes boxes")] = Convention.PIXELS,
    policy_coordinates: Annotated[Convention, typer.Option(help="how the traces write boxes")] = Convention.PIXELS,
    min_pixels: Annotated[int, typer.Option(help="least area of a picture, for teacher and policy")] = _DEFAULT.least,
    max_pixels: Annotated[int, typer.Option(help="largest area of a picture, for both")] = _DEFAULT.most,
    simulations: Annotated[int, typer.Option(min=1, help="per question")] = 8,
    branching: Annotated[int, typer.Option(min=1, help="steps drawn for an expansion")] = 3,
    rollouts: Annotated[int, typer.Option(min=1, help="per new node")] = 2,
    max_depth: Annotated[int, typer.Option(min=1, help="steps up to an answer")] = 10,
    c_puct: Annotated[float, typer.Option(min=0.0, help="weight of exploration in PUCT")] = 2.0,
    temperature: Annotated[float, typer.Option(min=0.0, help="of every sample")] = 1.0,
    reply_tokens: Annotated[int, typer.Option(min=1, help="most tokens of one step")] = 512,
    deadline: Annotated[float, typer.Option(min=0.1, help="seconds after which a call is given up")] = 120.0,
    concurrency: Annotated[int, typer.Option(min=1, help="calls at a time, at all URLs together")] = 64,
    requests_per_minute: Annotated[float | None, typer.Option(min=0.01, help="calls begun a minute")] = None,
    max_calls: Annotated[int | None, typer.Option(min=1, help="budget of this run")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="budget of this run, prompt and reply")] = None,
    seed: Annotated[int, typer.Option(min=0, help="of all samples")] = 0,
) -> None:
    """Search reasoning steps with a teacher (FGRPO section A.4).

    Writes its traces as supervised training sets. The same command goes on where a killed or stopped run ended;
    finished questions and replies on disk are not asked again. Exit code 0: all questions searched; 1: bad input,
    or a teacher that does not answer; 3: some questions are left (budget used up, calls failed), what there is is
    written.
    """
    from data_prep.mcts.export import AGAIN, export, sft_folder
    from data_prep.mcts.questions import question_names
    from data_prep.mcts.run import Settings, run
    from data_prep.mcts.teacher import BudgetUsedUp, TeacherConfig, TeacherFailed
    from data_prep.mcts.tree import SearchSettings

    config = TeacherConfig(
        base_urls=base_url,
        model=model,
        api_key_env=api_key_env,
        temperature=temperature,
        reply_tokens=reply_tokens,
        deadline_s=deadline,
        concurrency=concurrency,
        requests_per_minute=requests_per_minute,
        max_calls=max_calls,
        max_tokens=max_tokens,
    )
    search = SearchSettings(
        simulations=simulations, branching=branching, rollouts=rollouts, max_depth=max_depth, c_puct=c_puct
    )
    with refusing(ValueError, OSError, TeacherFailed):
        budget = PixelBudget(min_pixels, max_pixels)
        settings = Settings.of(config, coordinates, budget, search, seed)
        names = question_names(rows)
        outcome = asyncio.run(run(rows, out, names, config, settings))
        summary = export(rows, out, len(names), outcome.unsearched, policy_coordinates, budget)
    sft = sft_folder(out, policy_coordinates)
    typer.echo(f"{outcome.calls} calls, {outcome.tokens} tokens in this run")
    for what in ("questions", "chains"):
        typer.echo(_account(what, summary[what]))
    typer.echo(f"wrote {sft}")
    if outcome.stopped is not None and not isinstance(outcome.stopped, BudgetUsedUp):
        fail(outcome.stopped)
    left = sum(count for reason, count in summary["questions"]["rejected"].items() if reason in AGAIN)
    if left:
        why = outcome.stopped or f"calls failed, see {sft / 'rejects.jsonl'}"
        typer.echo(f"{left} questions are left ({why}): run the same command again to go on", err=True)
        raise typer.Exit(NOT_ALL)


def _account(what: str, counts: dict[str, Any]) -> str:
    """In = out + rejects, in one line."""
    parts = [f"{counts['in']} in", f"{counts['out']} out"]
    if "direct" in counts:
        parts[-1] += f" ({counts['direct']} direct, {counts['corrected']} corrected)"
    parts += [
        f"{count} rejected ({reason}, {count / counts['in']:.1%})" for reason, count in counts["rejected"].items()
    ]
    return f"{what}: {', '.join(parts)}"
