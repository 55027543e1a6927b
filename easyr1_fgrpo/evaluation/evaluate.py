"""Evaluate models on benchmarks: ask, score, tabulate. The one way to measure: runs, checkpoints, served models."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from easyr1_fgrpo.checkpoints import checkpoint_sha256
from easyr1_fgrpo.evaluation.answers.asking import Answer, AnswerLog, Asking, ask, check
from easyr1_fgrpo.evaluation.answers.in_process import InProcess
from easyr1_fgrpo.evaluation.answers.launch import served
from easyr1_fgrpo.evaluation.answers.models import ModelSpec
from easyr1_fgrpo.evaluation.answers.pictures import Picture
from easyr1_fgrpo.evaluation.benchmarks import BENCHMARKS, Item, Reject, Source
from easyr1_fgrpo.evaluation.mode import Mode
from easyr1_fgrpo.evaluation.results.results import (
    BenchmarkResult,
    Evaluation,
    RejectRecord,
    Totals,
    summarise,
)
from easyr1_fgrpo.evaluation.run_items import Tally, Task, run_items
from easyr1_fgrpo.evaluation.scoring.score import Scoring
from easyr1_fgrpo.evaluation.scoring.scorer import AnswerScorer
from easyr1_fgrpo.evaluation.tables.benchmarks import save, tables
from easyr1_fgrpo.files import write_whole
from easyr1_fgrpo.judges.factory import close
from easyr1_fgrpo.model_client.client import PATIENCE_S, Address, ModelClient

Say = Callable[[Asking, Item, Sequence[Picture]], Awaitable[Answer]]
"""Puts a question to a model."""


@dataclass(frozen=True)
class Plan:
    """What is evaluated, and how.

    Attributes:
        models: see `ModelSpec`.
        benchmarks: see `Source`.
        out: folder to write into; what is finished there is not measured again.
        modes: how responses are drawn.
        samples: rows of each benchmark, a seeded choice in its order; None for all.
        seed: chooses these rows, draws sampled responses, and resamples.
        scorer: where the answer scorer is served; None for none.
        max_new_tokens: length limit of a response.
        parameters: further fields of a request; None takes a field out.
        concurrency: items under way at a time, and how many a checkpoint in this process answers together.
        deadline_s: seconds for one response.
        patience_s: seconds a model that is away is waited for.
    """

    models: Sequence[ModelSpec]
    benchmarks: Sequence[Source]
    out: Path
    modes: Sequence[Mode] = (Mode.GREEDY,)
    samples: int | None = None
    seed: int = 0
    scorer: Address | None = None
    max_new_tokens: int = 4096
    parameters: Mapping[str, Any] = field(default_factory=dict)
    concurrency: int = 64
    deadline_s: float = 600.0
    patience_s: float = PATIENCE_S

    def request(self, mode: Mode) -> dict[str, Any]:
        """The fields of every request (greedy pass@1 in FGRPO B.1) where `parameters` say nothing else."""
        fields = {"temperature": mode.temperature, "max_tokens": self.max_new_tokens, **self.parameters}
        return {name: value for name, value in fields.items() if value is not None}

    def rows(self, source: Source) -> Iterator[Item | Reject]:
        """The rows of a benchmark that are asked."""
        rows = source.benchmark.load(source.location)
        return iter(rows if self.samples is None else choose(list(rows), self.samples, self.seed))


def choose(rows: Sequence[Item | Reject], samples: int, seed: int) -> list[Item | Reject]:
    """A seeded choice of rows, in their order: files are often sorted by kind, so their head is no fair sample."""
    chosen = set(random.Random(seed).sample(range(len(rows)), min(samples, len(rows))))
    return [row for number, row in enumerate(rows) if number in chosen]


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
                client = await stack.enter_async_context(connection(plan.scorer, plan))
                scoring = replace(scoring, scorer=AnswerScorer(client, await client.served_name()))
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
        "seed": plan.seed,
        "request": {str(mode): plan.request(mode) for mode in plan.modes},
        "scorer": scoring.scorer.name if scoring.scorer else "",
        "judges": {question: judge.name for question, judge in scoring.judges.items()},
    }
    evaluation = Evaluation(settings=settings, results=tuple(results))
    write(evaluation, rejects, plan.out)
    return evaluation, rejects


class AskedModel:
    """A model whose answers are on disk. A local checkpoint is loaded at its first question that is not.

    vLLM serves it where that is installed; elsewhere it answers in this process, on the CPU.

    Args:
        spec: which model.
        plan: how it is asked.
        identity: what its answers are of: its name at its server, or the hash of its weights.
        say: puts a question to it.
        stack: closes what is opened.
    """

    def __init__(self, spec: ModelSpec, plan: Plan, identity: str, say: Say, stack: AsyncExitStack) -> None:
        self.identity = identity
        self._spec, self._plan, self._say = spec, plan, say
        self._log = AnswerLog(plan.out / "answers" / f"{spec.name}.jsonl")
        stack.callback(self._log.close)

    @classmethod
    async def prepare(cls, spec: ModelSpec, plan: Plan, stack: AsyncExitStack) -> AskedModel:
        """Find out what the model is.

        Raises:
            ModelGone: when its server does not come up.
            ValueError: for a style that begins the answer, of a checkpoint in this process.
        """
        if spec.address is not None:
            client = await stack.enter_async_context(connection(spec.address, plan))
            name = await client.served_name()
            return cls(spec, plan, name, _by_client(client), stack)
        assert spec.folder is not None
        identity = await asyncio.to_thread(checkpoint_sha256, spec.folder)
        if shutil.which("vllm"):
            return cls(spec, plan, identity, _by_server(spec, plan, stack), stack)
        if spec.style.prefill:
            raise ValueError(
                f"style {spec.style.name} begins the answer, which takes a server: install vLLM, or name a URL"
            )
        return cls(spec, plan, identity, _by_process(InProcess(spec.folder, plan.concurrency)), stack)

    def task(self, source: Source, mode: Mode) -> Task:
        """This model on a benchmark."""
        name = self.identity if self._spec.address else self._spec.name
        seed = self._plan.seed if mode is Mode.SAMPLED else None
        asking = Asking(name, self.identity, self._spec.style, self._plan.request(mode), seed)

        async def respond(item: Item, pictures: Sequence[Picture]) -> Answer:
            key = asking.key(item)
            answer = self._log.get(key)
            if answer is None:
                answer = await self._say(asking, item, pictures)
                self._log.put(key, answer)
            check(answer)
            return answer

        return Task(
            model=self._spec.name,
            style=self._spec.style,
            benchmark=source.benchmark.name,
            source=self._plan.rows(source),
            answer_key=asking.key,
            respond=respond,
            mode=mode,
            expected=self._plan.samples or source.benchmark.n_expected,
        )


def _by_client(client: ModelClient) -> Say:
    async def say(asking: Asking, item: Item, pictures: Sequence[Picture]) -> Answer:
        return await ask(client, asking, item, pictures)

    return say


def _by_server(spec: ModelSpec, plan: Plan, stack: AsyncExitStack) -> Say:
    """By a server of our own, which starts at the first question."""
    connecting = asyncio.Lock()
    clients: list[ModelClient] = []

    async def say(asking: Asking, item: Item, pictures: Sequence[Picture]) -> Answer:
        async with connecting:
            if not clients:
                assert spec.folder is not None
                log = plan.out / "servers" / f"{spec.name}.log"
                address = await stack.enter_async_context(served(spec.folder, spec.name, log))
                clients.append(await stack.enter_async_context(connection(address, plan)))
        return await ask(clients[0], asking, item, pictures)

    return say


def _by_process(model: InProcess) -> Say:
    async def say(asking: Asking, item: Item, pictures: Sequence[Picture]) -> Answer:
        messages = asking.style.messages(item, len(pictures))
        return await model.answer(messages, pictures, asking.request(item))

    return say


def connection(address: Address, plan: Plan) -> ModelClient:
    """A client with the plan's limits."""
    return ModelClient(address, concurrency=plan.concurrency, deadline_s=plan.deadline_s, patience_s=plan.patience_s)


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


def lines(evaluation: Evaluation, rejects: Sequence[RejectRecord]) -> Iterator[str]:
    """What is said below the tables: totals that add up, agreement of the two ways to match answers, rejects."""
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
