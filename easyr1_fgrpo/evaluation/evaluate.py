"""Evaluate models on benchmarks: ask, score, tabulate."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from easyr1_fgrpo.checkpoints import checkpoint_sha256
from easyr1_fgrpo.evaluation import lm_eval
from easyr1_fgrpo.evaluation.asking import Answer, AnswerLog, Asking, ask, check
from easyr1_fgrpo.evaluation.benchmark_results import (
    BenchmarkResult,
    Evaluation,
    RejectRecord,
    Totals,
    summarise,
    write_whole,
)
from easyr1_fgrpo.evaluation.benchmark_run import Tally, Task, run_items
from easyr1_fgrpo.evaluation.benchmark_tables import save, tables
from easyr1_fgrpo.evaluation.benchmarks import BENCHMARKS, Item
from easyr1_fgrpo.evaluation.launch import served
from easyr1_fgrpo.evaluation.models import ModelSpec
from easyr1_fgrpo.evaluation.pictures import Picture
from easyr1_fgrpo.evaluation.scorer import AnswerScorer
from easyr1_fgrpo.evaluation.scoring import Scoring
from easyr1_fgrpo.judges.factory import close
from easyr1_fgrpo.model_client.client import PATIENCE_S, Address, ModelClient


@dataclass(frozen=True)
class Plan:
    """What is evaluated, and how.

    Attributes:
        models: see `ModelSpec`.
        benchmarks: where each lies, by registry name; None for its hub id.
        out: folder to write into; what is finished there is kept.
        scorer: where the answer scorer is served; None for none.
        max_new_tokens: length limit of a response.
        parameters: further fields of a request; None takes a field out.
        concurrency: items under way at a time.
        deadline_s: seconds for one response.
        patience_s: seconds a model that is away is waited for.
    """

    models: Sequence[ModelSpec]
    benchmarks: Mapping[str, Path | None]
    out: Path
    scorer: Address | None = None
    max_new_tokens: int = 4096
    parameters: Mapping[str, Any] = field(default_factory=dict)
    concurrency: int = 64
    deadline_s: float = 600.0
    patience_s: float = PATIENCE_S

    @property
    def request(self) -> dict[str, Any]:
        """The fields of every request: greedy pass@1 (FGRPO B.1) where `parameters` say nothing else."""
        fields = {"temperature": 0.0, "max_tokens": self.max_new_tokens, **self.parameters}
        return {name: value for name, value in fields.items() if value is not None}


async def evaluate(plan: Plan, scoring: Scoring) -> tuple[Evaluation, list[RejectRecord]]:
    """Measure every model on every benchmark.

    Writes results.json, rejects.jsonl, tables/, lm_eval/, traces/, images/ and answers/ into `plan.out`.

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
                client = await stack.enter_async_context(connection(plan.scorer, plan))
                scoring = replace(scoring, scorer=AnswerScorer(client, await client.served_name()))
            for spec in plan.models:
                async with AsyncExitStack() as model_stack:
                    model = await AskedModel.prepare(spec, plan, model_stack)
                    for name, location in plan.benchmarks.items():
                        tally = await run_items(model.task(name, location), scoring, plan.out, plan.concurrency)
                        results.append(result_of(spec, name, tally, scorer=scoring.scorer is not None))
                        rejects += tally.rejects
    finally:
        await close(scoring.judges.values())
    settings = {
        "benchmarks": {name: str(location or BENCHMARKS[name].hub_id) for name, location in plan.benchmarks.items()},
        "request": plan.request,
        "scorer": scoring.scorer.name if scoring.scorer else "",
        "judges": {question: judge.name for question, judge in scoring.judges.items()},
    }
    evaluation = Evaluation(settings=settings, results=tuple(results))
    write(evaluation, rejects, plan.out)
    return evaluation, rejects


class AskedModel:
    """A model whose answers are kept; a local checkpoint is served from its first question on.

    Args:
        spec: which model.
        plan: how it is asked.
        asking: what its requests hold.
        stack: closes what is opened.
    """

    def __init__(self, spec: ModelSpec, plan: Plan, asking: Asking, stack: AsyncExitStack) -> None:
        self._spec = spec
        self._plan = plan
        self._asking = asking
        self._stack = stack
        self._log = AnswerLog(plan.out / "answers" / f"{spec.name}.jsonl")
        stack.callback(self._log.close)
        self._client: ModelClient | None = None
        self._connecting = asyncio.Lock()

    @classmethod
    async def prepare(cls, spec: ModelSpec, plan: Plan, stack: AsyncExitStack) -> AskedModel:
        """Find out what the model is: its name at its server, or the hash of its weights."""
        if spec.folder is not None:
            identity = await asyncio.to_thread(checkpoint_sha256, spec.folder)
            return cls(spec, plan, Asking(spec.name, identity, spec.style, plan.request), stack)
        assert spec.address is not None
        client = await stack.enter_async_context(connection(spec.address, plan))
        name = await client.served_name()
        model = cls(spec, plan, Asking(name, name, spec.style, plan.request), stack)
        model._client = client
        return model

    def task(self, benchmark: str, location: Path | None) -> Task:
        """This model on a benchmark."""
        source = BENCHMARKS[benchmark]
        return Task(
            model=self._spec.name,
            style=self._spec.style,
            benchmark=benchmark,
            source=iter(source.load(location)),
            answer_key=self._asking.key,
            respond=self._respond,
            expected=source.n_expected,
        )

    async def _respond(self, item: Item, pictures: Sequence[Picture]) -> Answer:
        key = self._asking.key(item)
        answer = self._log.get(key)
        if answer is None:
            answer = await ask(await self._connected(), self._asking, item, pictures)
            self._log.put(key, answer)
        check(answer)
        return answer

    async def _connected(self) -> ModelClient:
        async with self._connecting:
            if self._client is None:
                spec = self._spec
                assert spec.folder is not None
                log = self._plan.out / "servers" / f"{spec.name}.log"
                address = await self._stack.enter_async_context(served(spec.folder, spec.name, log))
                self._client = await self._stack.enter_async_context(connection(address, self._plan))
        return self._client


def connection(address: Address, plan: Plan) -> ModelClient:
    """A client with the plan's limits."""
    return ModelClient(address, concurrency=plan.concurrency, deadline_s=plan.deadline_s, patience_s=plan.patience_s)


def result_of(spec: ModelSpec, benchmark: str, tally: Tally, *, scorer: bool) -> BenchmarkResult:
    """A benchmark's result from what came of its rows.

    Raises:
        RuntimeError: when a row is not accounted for.
    """
    known = BENCHMARKS.get(benchmark)
    summary = summarise(tally.outcomes, tally.items, known.aggregate if known else plain_mean, scorer=scorer)
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
        raise RuntimeError(f"{spec.name} on {benchmark}: rows are not accounted for: {totals}")
    task = known.lmms_eval_task if known else ""
    return BenchmarkResult(
        model=spec.name, style=spec.style.name, benchmark=benchmark, task=task, totals=totals, **summary
    )


def plain_mean(correct: Mapping[str, float], items: Sequence[Any]) -> dict[str, float]:
    """The aggregation of traces from elsewhere: the mean over items."""
    return {"items": sum(correct.values()) / len(correct)} if correct else {}


def write(evaluation: Evaluation, rejects: Sequence[RejectRecord], out: Path) -> None:
    """Write everything but traces and answers, which are there already."""
    evaluation.save(out)
    write_whole(out / "rejects.jsonl", "".join(f"{reject.model_dump_json()}\n" for reject in rejects))
    save(tables(evaluation), out)
    lm_eval.save(evaluation, out)


def lines(evaluation: Evaluation, rejects: Sequence[RejectRecord]) -> Iterator[str]:
    """What is said below the tables: totals that add up, agreement of the two ways to match answers, rejects."""
    for result in evaluation.results:
        yield f"{result.model}, {result.benchmark}: {result.totals}"
        named = ", ".join(f"{name} {100 * value:.1f}" for name, value in result.aggregations["rule"].items())
        yield f"{result.model}, {result.benchmark}: accuracy as aggregated by {named or 'nobody: nothing was scored'}"
        if result.agreement:
            found = result.agreement
            kappa = "not defined" if found.kappa.value is None else f"{found.kappa.value:.3f}"
            yield (
                f"{result.model}, {result.benchmark}: rule and scorer: kappa {kappa}, right by rule only "
                f"{found.right_by_rule_only}, by scorer only {found.right_by_scorer_only}, unscored {found.unscored}"
            )
    judges = ", ".join(f"{question} by {name}" for question, name in evaluation.settings["judges"].items())
    yield f"judged: {judges}; answers also matched by: {evaluation.settings['scorer'] or 'no scorer'}"
    if rejects:
        first = rejects[0]
        yield f"{len(rejects)} rejects, the first: {first.model}, {first.benchmark}, {first.row}: {first.reason}"
