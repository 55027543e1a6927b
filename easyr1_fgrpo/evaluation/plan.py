"""What an evaluation measures, and how."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from easyr1_fgrpo.evaluation.answers.models import ModelSpec
from easyr1_fgrpo.evaluation.benchmarks import Item, Reject, Source
from easyr1_fgrpo.evaluation.mode import Mode
from easyr1_fgrpo.evaluation.scoring.scorer import ScorerSpec, with_parameters
from easyr1_fgrpo.model_client.client import PATIENCE_S, Address, ModelClient


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
        scorer: the answer scorer; None for none.
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
    scorer: ScorerSpec | None = None
    max_new_tokens: int = 4096
    parameters: Mapping[str, Any] = field(default_factory=dict)
    concurrency: int = 64
    deadline_s: float = 600.0
    patience_s: float = PATIENCE_S

    def request(self, mode: Mode) -> dict[str, Any]:
        """The fields of every request (greedy pass@1 in FGRPO B.1) where `parameters` say nothing else."""
        return with_parameters({"temperature": mode.temperature, "max_tokens": self.max_new_tokens}, self.parameters)

    def rows(self, source: Source) -> Iterator[Item | Reject]:
        """The rows of a benchmark that are asked."""
        rows = source.benchmark.load(source.location)
        return iter(rows if self.samples is None else choose(list(rows), self.samples, self.seed))

    def taken(self, source: Source) -> str:
        """Which rows of a benchmark are asked, for tables; "" for all."""
        if self.samples is None or self.samples >= (rows := sum(1 for _ in source.benchmark.load(source.location))):
            return ""
        return f"{self.samples} of {rows} rows, seed {self.seed}"


def choose(rows: Sequence[Item | Reject], samples: int, seed: int) -> list[Item | Reject]:
    """A seeded choice of rows, in their order: files are often sorted by kind, so their head is no fair sample."""
    chosen = set(random.Random(seed).sample(range(len(rows)), min(samples, len(rows))))
    return [row for number, row in enumerate(rows) if number in chosen]


def connection(address: Address, plan: Plan) -> ModelClient:
    """A client with the plan's limits."""
    return ModelClient(address, concurrency=plan.concurrency, deadline_s=plan.deadline_s, patience_s=plan.patience_s)
