"""`fgrpo evaluate`, `fgrpo compare` and `fgrpo audit` between their arguments and their exit codes.

Exit codes: 0 done, 1 bad input or a model that is gone, 3 when a model has no scored item on a benchmark.
"""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from easyr1_fgrpo.cli.shared import fail, out_folder, stopping
from easyr1_fgrpo.evaluation.mode import Mode
from easyr1_fgrpo.terminal import printable

if TYPE_CHECKING:
    from easyr1_fgrpo.evaluation.results.results import Evaluation, RejectRecord
    from easyr1_fgrpo.evaluation.scoring.score import Scoring
    from easyr1_fgrpo.evaluation.scoring.scorer import ScorerSpec

Judges = Annotated[
    str, typer.Option("--judge-overrides", metavar="OVERRIDES", help="who judges, e.g. 'judge=oracle'; else nobody")
]
Scorer = Annotated[
    str, typer.Option(metavar="URL[,URL...][,served=MODEL][,key=VARIABLE]", help="a text model that matches answers")
]
ScorerParameters = Annotated[
    str, typer.Option(metavar="JSON", help="further fields of the scorer's requests; null drops one")
]
ScorerReasoning = Annotated[
    bool,
    typer.Option("--scorer-reasoning", help="the scorer's word counts behind its thinking and in a code fence, too"),
]
Concurrency = Annotated[int, typer.Option(min=1, help="items under way at a time")]


def evaluate(
    model: Annotated[
        list[str],
        typer.Option(metavar="NAME=URL[,URL...][,STYLE][,served=MODEL][,key=VARIABLE] | NAME=FOLDER[,STYLE]"),
    ],
    benchmark: Annotated[
        list[str],
        typer.Option(metavar="NAME[=LOCATION] | NAME=rows:FILE", help="from a file or folder, else from the hub"),
    ],
    out: Annotated[
        Path, typer.Option(help="folder for everything; finished items in it are used again", callback=out_folder)
    ],
    mode: Annotated[list[Mode], typer.Option(help="how responses are drawn; may be given twice")] = [Mode.GREEDY],  # noqa: B006
    limit: Annotated[int | None, typer.Option(min=1, help="rows of each benchmark, a seeded choice; else all")] = None,
    seed: Annotated[int, typer.Option(min=0, help="chooses rows, draws sampled responses, resamples")] = 0,
    judge_overrides: Judges = "",
    scorer: Scorer = "",
    scorer_parameters: ScorerParameters = "{}",
    scorer_reasoning: ScorerReasoning = False,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="length limit of a response")] = 4096,
    parameters: Annotated[str, typer.Option(metavar="JSON", help="further fields of a request; null drops one")] = "{}",
    concurrency: Concurrency = 64,
    deadline: Annotated[float, typer.Option(min=0.0, help="seconds for one response")] = 600.0,
    patience: Annotated[float, typer.Option(min=0.0, help="seconds to wait for an endpoint that is away")] = 300.0,
) -> None:
    """Measure models on benchmarks, and print them side by side.

    Accuracy, inconsistency and grounding. A checkpoint folder is served by vLLM where that is installed, and answers
    in this process elsewhere. The same command again goes on where it was interrupted, and prints the tables of what
    is finished.
    """
    from easyr1_fgrpo.evaluation.answers.models import parse_models
    from easyr1_fgrpo.evaluation.benchmarks import parse_source
    from easyr1_fgrpo.evaluation.evaluate import evaluate as run
    from easyr1_fgrpo.evaluation.plan import Plan
    from easyr1_fgrpo.evaluation.scoring.judges import read_judges

    try:
        sources = [parse_source(text) for text in benchmark]
        names = [source.benchmark.name for source in sources]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(
                f"--benchmark: two are called {twice[0]!r}; give it once, or two files as A=rows:FILE B=rows:FILE"
            )
        plan = Plan(
            models=parse_models(model),
            benchmarks=sources,
            out=out,
            modes=list(dict.fromkeys(mode)),
            samples=limit,
            seed=seed,
            scorer=_scorer(scorer, scorer_parameters, scorer_reasoning),
            max_new_tokens=max_new_tokens,
            parameters=_object("--parameters", parameters),
            concurrency=concurrency,
            deadline_s=deadline,
            patience_s=patience,
        )
        scoring = read_judges(shlex.split(judge_overrides))
    except (ValueError, OSError) as error:
        fail(error)
    raise typer.Exit(_report(run(plan, scoring), scoring, out))


def audit(
    traces: Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines or array, CSV, TSV, parquet, xlsx")],
    images: Annotated[Path, typer.Option(help="folder that the traces' image names are relative to")],
    out: Annotated[
        Path, typer.Option(help="folder for everything; finished items in it are used again", callback=out_folder)
    ],
    field: Annotated[
        list[str] | None, typer.Option(metavar="OURS=THEIRS", help="their field for one of ours; a.b, a.0 go into it")
    ] = None,
    name: Annotated[str, typer.Option(help="of the model in tables; the file's name when left out")] = "",
    style: Annotated[str, typer.Option(help="the grammar of the responses")] = "ours",
    judge_overrides: Judges = "",
    scorer: Scorer = "",
    scorer_parameters: ScorerParameters = "{}",
    scorer_reasoning: ScorerReasoning = False,
    concurrency: Concurrency = 64,
) -> None:
    """Score answers that somebody already has.

    Records with question, response, ground_truth and images. Optional are choices, id, category, group, benchmark,
    boxes and truncated. Result files of VLMEvalKit and lmms-eval are known by their fields. No model is called but
    the judges.
    """
    from easyr1_fgrpo.evaluation.audit import Audit
    from easyr1_fgrpo.evaluation.audit import audit as run
    from easyr1_fgrpo.evaluation.benchmarks import NAME
    from easyr1_fgrpo.evaluation.result_files import FIELDS, theirs
    from easyr1_fgrpo.evaluation.scoring.judges import read_judges
    from easyr1_fgrpo.evaluation.styles import STYLES

    try:
        names = dict(text.partition("=")[::2] for text in field or [])
        if wrong := [ours for ours, theirs in names.items() if ours not in FIELDS or not theirs]:
            raise ValueError(f"--field {wrong[0]}: write OURS=THEIRS, ours are {', '.join(FIELDS)}")
        if style not in STYLES:
            raise ValueError(f"--style {style}: known are {', '.join(STYLES)}")
        if not NAME.fullmatch(name or traces.stem):
            raise ValueError(f"--name {name or traces.stem!r}: use letters, digits and . _ + - only")
        if not traces.is_file():
            raise ValueError(f"{traces}: no such trace file")
        if not images.is_dir():
            raise ValueError(f"--images {images}: no such folder")
        if read := theirs(traces, names):
            typer.echo("fields: " + ", ".join(f"{ours}={name}" for ours, name in read.items()))
        job = Audit(
            traces=traces,
            name=name or traces.stem,
            style=STYLES[style],
            images=images,
            out=out,
            names=read,
            scorer=_scorer(scorer, scorer_parameters, scorer_reasoning),
            concurrency=concurrency,
        )
        scoring = read_judges(shlex.split(judge_overrides))
    except (ValueError, OSError) as error:
        fail(error)
    raise typer.Exit(_report(run(job, scoring), scoring, out))


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="runs, or folders of `evaluate` or `audit`")],
    seed: Annotated[int, typer.Option(min=0, help="of the bootstrap")] = 0,
) -> None:
    """Compare every two models of the given runs.

    On the same items: differences, intervals, McNemar's test. Of training runs, the checkpoints after RL are
    compared; of one run alone, those before and after.
    """
    from easyr1_fgrpo.evaluation.results.results import Evaluation, models_to_compare
    from easyr1_fgrpo.evaluation.tables.benchmarks import comparison_table

    try:
        grid = comparison_table(models_to_compare([(path, Evaluation.load(path)) for path in runs]), seed)
    except (ValueError, OSError) as error:
        fail(error)
    _console().print(grid.rich())


def _report(measuring: Coroutine[Any, Any, tuple[Evaluation, list[RejectRecord]]], scoring: Scoring, out: Path) -> int:
    """Measure, print, and say by the exit code how it went."""
    from easyr1_fgrpo.evaluation.evaluate import lines, without_verdict
    from easyr1_fgrpo.evaluation.tables.benchmarks import tables
    from easyr1_fgrpo.model_client.client import ModelGone

    before = _earlier(out)
    try:
        with stopping("the same command goes on where it was"):
            evaluation, rejects = asyncio.run(measuring)
    except (ValueError, OSError, ModelGone) as error:
        measuring.close()
        fail(error)
    console = _console()
    for grid in tables(evaluation):
        console.print(grid.rich())
    for line in lines(evaluation, rejects):
        typer.echo(printable(line))
    if before not in ("", evaluation.measured_on):
        typer.echo(f"the results that were there are replaced: {printable(before)}")
    for judge in dict.fromkeys(scoring.judges.values()):
        if known := getattr(judge, "known", 0):
            typer.echo(
                f"judge {printable(judge.name)}: {known} verdicts are what a model of this name said earlier, "
                f"{getattr(judge, 'asked', 0)} are new (fgrpo.judge_cache.directory= asks for all)"
            )
    typer.echo(f"results: {out}")
    empty = [result for result in evaluation.results if result.totals.scored == 0]
    for result in empty:
        typer.echo(f"objection: {result.model} has no scored item of {result.occasion}", err=True)
    unjudged = without_verdict(evaluation)
    for result in unjudged:
        typer.echo(f"objection: the judge gave no verdict on {result.model}, {result.occasion}", err=True)
    return 3 if empty or unjudged else 0


def _earlier(out: Path) -> str:
    """What the results in a folder are of, or why they cannot be read; "" where there are none."""
    from easyr1_fgrpo.evaluation.results.results import RESULTS, Evaluation

    if not (out / RESULTS).exists():
        return ""
    try:
        return Evaluation.load(out).measured_on
    except (ValueError, OSError) as error:
        return str(error)


def _console() -> Any:
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=200)


def _scorer(address: str, parameters: str, accept_reasoning: bool) -> ScorerSpec | None:
    from easyr1_fgrpo.evaluation.answers.models import parse_address
    from easyr1_fgrpo.evaluation.scoring.scorer import ScorerSpec

    fields = _object("--scorer-parameters", parameters)
    if not address and (fields or accept_reasoning):
        raise ValueError("--scorer-parameters and --scorer-reasoning: name a --scorer")
    return ScorerSpec(parse_address(address), fields, accept_reasoning) if address else None


def _object(option: str, text: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{option} {text}: no JSON ({error})") from error
    if not isinstance(values, dict) or {"model", "messages", "stream"} & values.keys():
        raise ValueError(f"{option} {text}: a JSON object without model, messages and stream")
    return values
