"""Evaluate models on benchmarks: ask, score, tabulate. The one way to measure: runs, checkpoints, served models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from easyr1_fgrpo.evaluation.answers.models import ModelSpec
from easyr1_fgrpo.evaluation.asked_model import AskedModel
from easyr1_fgrpo.evaluation.benchmarks import BENCHMARKS
from easyr1_fgrpo.evaluation.mode import Mode
from easyr1_fgrpo.evaluation.plan import Plan, connection
from easyr1_fgrpo.evaluation.results.results import (
    BenchmarkResult,
    Evaluation,
    RejectRecord,
    Totals,
    summarise,
)
from easyr1_fgrpo.evaluation.run_items import Tally, run_items
from easyr1_fgrpo.evaluation.scoring.judges import NoJudge
from easyr1_fgrpo.evaluation.scoring.score import Scoring
from easyr1_fgrpo.evaluation.scoring.scorer import AnswerScorer
from easyr1_fgrpo.evaluation.tables.benchmarks import save, tables
from easyr1_fgrpo.files import write_whole
from easyr1_fgrpo.judges.factory import close
from easyr1_fgrpo.judges.protocol import Question

MOST_CAUSES = 10
"""Of rejects, in the lines below the tables."""


async def evaluate(plan: Plan, scoring: Scoring) -> tuple[Evaluation, list[RejectRecord]]:
    """Measure every model on every benchmark in every mode.

    Writes results.json, rejects.jsonl, tables/, traces/, images/ and answers/ into `plan.out`.

    Args:
        plan: see `Plan`.
        scoring: who judges; closed in the end.

    Raises:
        ModelGone, CheckpointError: when a model cannot be asked (any more); what is finished stays.
        ValueError, OSError: when a benchmark cannot be read.
    """
    results: list[BenchmarkResult] = []
    rejects: list[RejectRecord] = []
    try:
        async with AsyncExitStack() as stack:
            if plan.scorer:
                client = await stack.enter_async_context(connection(plan.scorer.address, plan))
                scoring = replace(scoring, scorer=AnswerScorer(client, await client.served_name(), plan.scorer))
            for spec in plan.models:
                async with AsyncExitStack() as model_stack:
                    model = await AskedModel.prepare(spec, plan, model_stack)
                    for source in plan.benchmarks:
                        data = source.data
                        for mode in plan.modes:
                            task = model.task(source, mode)
                            tally = await run_items(task, scoring, plan.out, plan.concurrency)
                            asked = Asked(spec, model.identity, source.benchmark.name, data, mode)
                            with_scorer = scoring.scorer is not None
                            results.append(result_of(asked, tally, scorer=with_scorer, seed=plan.seed))
                            rejects += tally.rejects
    finally:
        await close(scoring.judges.values())
    settings = {
        "benchmarks": {source.benchmark.name: source.data for source in plan.benchmarks},
        "samples": plan.samples,
        "taken": {source.benchmark.name: taken for source in plan.benchmarks if (taken := plan.taken(source))},
        "seed": plan.seed,
        "request": {str(mode): plan.request(mode) for mode in plan.modes},
        "scorer": scoring.scorer.name if scoring.scorer else "",
        "judges": {question: judge.name for question, judge in scoring.judges.items()},
    }
    evaluation = Evaluation(settings=settings, results=tuple(results))
    write(evaluation, rejects, plan.out)
    return evaluation, rejects


@dataclass(frozen=True)
class Asked:
    """Who was asked what; fields as of `BenchmarkResult`."""

    model: ModelSpec
    identity: str
    benchmark: str
    data: str
    mode: Mode | None = None


def result_of(asked: Asked, tally: Tally, *, scorer: bool, seed: int = 0) -> BenchmarkResult:
    """A benchmark's result from what came of its rows.

    Raises:
        RuntimeError: when a row is not accounted for.
    """
    known = BENCHMARKS.get(asked.benchmark)
    aggregate = known.aggregate if known else plain_mean
    summary = summarise(tally.outcomes, tally.items, aggregate, scorer=scorer, seed=seed)
    metrics = summary["metrics"]
    rejected = tally.rejected("load")
    scored = len(tally.outcomes)
    totals = Totals(
        rows=len(tally.items) + rejected,
        rejected_rows=rejected,
        items=len(tally.items),
        rejected_items=tally.rejected("answer"),
        scored=scored,
        judged=metrics["inconsistency"].n,
        unparsable=sum(not outcome.parsable for outcome in tally.outcomes),
        unjudged=sum(outcome.parsable and outcome.consistency is None for outcome in tally.outcomes),
        expected=known.n_expected if known else None,
    )
    if not totals.adds_up:
        raise RuntimeError(f"{asked.model.name} on {asked.benchmark}: rows are not accounted for: {totals}")
    return BenchmarkResult(
        model=asked.model.name,
        style=asked.model.style.name,
        identity=asked.identity,
        benchmark=asked.benchmark,
        data=asked.data,
        mode=asked.mode,
        totals=totals,
        **summary,
    )


def plain_mean(correct: Mapping[str, float], items: Sequence[Any]) -> dict[str, float]:
    """The aggregation of rows and traces of no known benchmark: the mean over items."""
    mean = sum(correct.values()) / len(correct) if correct else None
    return {} if mean is None else {"items": mean}


def write(evaluation: Evaluation, rejects: Sequence[RejectRecord], out: Path) -> None:
    """Write everything but traces and answers, which are there already."""
    evaluation.save(out)
    write_whole(out / "rejects.jsonl", "".join(f"{reject.model_dump_json()}\n" for reject in rejects))
    save(tables(evaluation), out)


def without_verdict(evaluation: Evaluation) -> list[BenchmarkResult]:
    """The results on which a consistency judge was asked and judged nothing."""
    if evaluation.settings["judges"][Question.CONSISTENCY.value] == NoJudge.name:
        return []
    return [result for result in evaluation.results if result.totals.unjudged and not result.totals.judged]


def lines(evaluation: Evaluation, rejects: Sequence[RejectRecord]) -> Iterator[str]:
    """Lines below the tables: totals that add up, agreement of the two ways to match answers, rejects."""
    for result in evaluation.results:
        yield f"{result.model}, {result.occasion}: {result.totals}"
        named = ", ".join(f"{name} {100 * value:.1f}" for name, value in result.aggregations["rule"].items())
        yield f"{result.model}, {result.occasion}: accuracy as aggregated by {named or 'nobody: nothing was scored'}"
        if result.agreement:
            found = result.agreement
            kappa = "not defined" if found.kappa.value is None else f"{found.kappa.value:.3f}"
            yield (
                f"{result.model}, {result.occasion}: rule and scorer: kappa {kappa}, right by rule only "
                f"{found.right_by_rule_only}, by scorer only {found.right_by_scorer_only}, unscored {found.unscored}"
            )
    judges = ", ".join(f"{question} by {name}" for question, name in evaluation.settings["judges"].items())
    yield f"judged: {judges}; answers also matched by: {evaluation.settings['scorer'] or 'no scorer'}"
    if rejects:
        first = rejects[0]
        yield f"{len(rejects)} rejects, the first: {first.model}, {first.benchmark}, {first.row}: {first.reason}"
        rows = sum(result.totals.rows for result in evaluation.results)
        causes = Counter(reject.reason.partition(":")[0].partition(" (")[0] for reject in rejects)
        for cause, count in causes.most_common(MOST_CAUSES):
            yield f"  {count:>8}  {count / rows:>6.1%}  {cause}"
        if len(causes) > MOST_CAUSES:
            yield f"  and {len(causes) - MOST_CAUSES} other causes, see rejects.jsonl"
