"""`python -m easyr1_fgrpo.evaluation`: measure checkpoints on rows (run, table, compare) or models on benchmarks.

`evaluate` and `audit` are those of `fgrpo`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Never

import typer
from rich.console import Console

from easyr1_fgrpo.checkpoints import CheckpointError, checkpoint_problems
from easyr1_fgrpo.evaluation.judges import NoJudge
from easyr1_fgrpo.evaluation.metrics import compare as compare_results
from easyr1_fgrpo.evaluation.metrics import load_result
from easyr1_fgrpo.evaluation.results import Mode, Result
from easyr1_fgrpo.evaluation.table import comparison_table, results_markdown, results_table
from easyr1_fgrpo.judges.local import load_judge
from easyr1_fgrpo.judges.protocol import Judge, Question
from easyr1_fgrpo.rows import check_rows

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")

app = typer.Typer(add_completion=False, help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)


@app.command()
def run(
    checkpoints: Annotated[list[str], typer.Argument(metavar="[NAME=]CHECKPOINT...", help="Hugging Face folders")],
    data: Annotated[Path, typer.Option(help="parquet file of questions")],
    out: Annotated[Path, typer.Option(help="folder for results; finished ones in it are kept")],
    judge: Annotated[str, typer.Option(help="who judges: package.module:Class; nobody when left out")] = "",
    judge_option: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="argument of the judge")] = None,
    mode: Annotated[list[Mode] | None, typer.Option(help="how responses are drawn; both when left out")] = None,
    samples: Annotated[int, typer.Option(min=1, help="questions, a seeded choice from the file")] = 512,
    seed: Annotated[int, typer.Option(min=0, help="chooses the questions and draws the responses")] = 0,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="length limit of a response")] = 4096,
    batch: Annotated[int, typer.Option(min=1, help="questions answered at a time")] = 64,
) -> None:
    """Answer questions with every checkpoint, greedy and sampled, and print accuracy, inconsistency and grounding."""
    folders = _named(checkpoints)
    options = _options(judge_option or [])
    _refuse([problem for folder in folders.values() for problem in checkpoint_problems(folder)] + check_rows([data]))
    chosen = _judge(judge, options)

    from easyr1_fgrpo.evaluation.run import Protocol, evaluate_checkpoints  # loads torch and transformers

    protocol = Protocol(data, samples, seed, max_new_tokens, judge, options, batch)
    judges = dict.fromkeys(Question, chosen or NoJudge())
    try:
        results = asyncio.run(evaluate_checkpoints(folders, mode or list(Mode), protocol, judges, out))
    except CheckpointError as error:
        _fail(str(error))
    Console().print(results_table(results))


@app.command()
def table(
    results: Annotated[list[Path], typer.Argument(metavar="RESULT.json...", help="files that `run` wrote")],
    markdown: Annotated[bool, typer.Option(help="as Markdown")] = False,
) -> None:
    """Print finished results side by side."""
    loaded = [_load(path) for path in results]
    if markdown:
        typer.echo(results_markdown(loaded))
    else:
        Console().print(results_table(loaded))


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(metavar="A.json")],
    second: Annotated[Path, typer.Argument(metavar="B.json")],
    seed: Annotated[int, typer.Option(min=0, help="of the bootstrap")] = 0,
) -> None:
    """Print B minus A on the same questions, with 95 % intervals."""
    a, b = _load(first), _load(second)
    try:
        differences = compare_results(a, b, seed)
    except ValueError as error:
        _fail(str(error))
    Console().print(comparison_table(a, b, differences))


# ---------------------------------------------------------------------- arguments


def _named(checkpoints: list[str]) -> dict[str, Path]:
    """Folders by name; without a name, a folder is called by its last part."""
    named: dict[str, Path] = {}
    for text in checkpoints:
        name, _, folder = text.rpartition("=") if "=" in text and not Path(text).exists() else ("", "", text)
        name = name or Path(folder).resolve().name
        if not _NAME.fullmatch(name):
            _fail(f"checkpoint name {name!r}: use letters, digits and . _ + - only")
        if name in named:
            _fail(f"two checkpoints are called {name!r}: write NAME=CHECKPOINT")
        named[name] = Path(folder)
    return named


def _options(pairs: list[str]) -> dict[str, str]:
    _refuse([f"--judge-option {pair}: write KEY=VALUE" for pair in pairs if "=" not in pair])
    return dict(pair.split("=", 1) for pair in pairs)


def _judge(target: str, options: Mapping[str, str]) -> Judge | None:
    if not target:
        return None
    try:
        return load_judge(target, options)
    except (ValueError, TypeError, OSError) as error:
        _fail(f"judge {target} cannot be built: {error}")


def _load(path: Path) -> Result:
    try:
        return load_result(path)
    except OSError as error:
        _fail(f"{path}: {error.strerror}")
    except ValueError as error:
        _fail(str(error))


def _refuse(problems: list[str]) -> None:
    for problem in problems:
        typer.echo(f"error: {problem}", err=True)
    if problems:
        raise typer.Exit(1)


def _fail(problem: str) -> Never:
    typer.echo(f"error: {problem}", err=True)
    raise typer.Exit(1)


if __name__ == "__main__":
    app(prog_name="python -m easyr1_fgrpo.evaluation")
