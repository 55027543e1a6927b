"""What an evaluation leaves in `results.json`: a result per model, benchmark and mode."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from easyr1_fgrpo.evaluation.benchmarks import ItemMeta
from easyr1_fgrpo.evaluation.mode import Mode
from easyr1_fgrpo.evaluation.results.metrics import measure
from easyr1_fgrpo.evaluation.results.outcome import Outcome
from easyr1_fgrpo.files import load_json, write_whole
from easyr1_fgrpo.statistics import Estimate, cohen_kappa, confusion_by_record, of_counts

RESULTS = "results.json"
FOLDER = "evaluation"
"""Of a run directory."""

BEFORE, AFTER = "before_RL", "after_RL"
"""Checkpoints of a run, as models."""

_HASH = re.compile(r"\b[0-9a-f]{64}\b")

Aggregate = Callable[[Mapping[str, float], Sequence[ItemMeta]], dict[str, float]]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Meta(_Record):
    """What an aggregation needs to know about an item; see `benchmarks.ItemMeta`."""

    id: str
    category: str
    group: str


class RejectRecord(_Record):
    """A row of the source that is no item (`stage` "load"), or an item without a scored answer ("answer"), and why."""

    model: str
    benchmark: str
    row: str
    stage: str
    reason: str


class Totals(_Record):
    """Where every row went: rows = rejected_rows + items; items = rejected_items + scored; scored = the last three.

    Attributes:
        rows: of the source.
        rejected_rows: that are no items.
        items: that were asked.
        rejected_items: without an answer that could be scored.
        scored: with an outcome.
        judged, unparsable, unjudged: of these, with a consistency verdict, without trace or answer, without a verdict.
        expected: items of the published benchmark; None where that is not fixed.
    """

    rows: int
    rejected_rows: int
    items: int
    rejected_items: int
    scored: int
    judged: int
    unparsable: int
    unjudged: int
    expected: int | None = None

    @property
    def adds_up(self) -> bool:
        """Whether every row is accounted for."""
        return (
            self.rows == self.rejected_rows + self.items
            and self.items == self.rejected_items + self.scored
            and self.scored == self.judged + self.unparsable + self.unjudged
        )

    def __str__(self) -> str:
        parts = (
            f"{self.rows} rows = {self.items} items + {self.rejected_rows} rejected; "
            f"{self.items} items = {self.scored} scored + {self.rejected_items} rejected; "
            f"{self.scored} scored = {self.judged} judged + {self.unparsable} unparsable + {self.unjudged} unjudged"
        )
        return parts if self.expected in (None, self.rows) else f"{parts}; the published benchmark has {self.expected}"


class ScorerAgreement(_Record):
    """Answer match by rule beside the LLM scorer's.

    Attributes:
        right_by_rule_only, right_by_scorer_only: disagreements.
        kappa: Cohen's, over the answers with a scorer's word.
        unscored: answers without one.
    """

    right_by_rule_only: int
    right_by_scorer_only: int
    kappa: Estimate
    unscored: int


class BenchmarkResult(_Record):
    """A model on a benchmark.

    Attributes:
        model, style: who was asked, and how.
        identity: what the answers are of: a hash of the weights, or the model's name at its server.
        benchmark, data: what was asked, and where it was read from, with a hash where that is a file of rows.
        mode: how responses were drawn; None for traces that were there already.
        totals: see `Totals`.
        metrics: see `metrics.measure`; accuracy in it is the plain share of right answers.
        aggregations: "rule" and "scorer", each with the benchmark's named aggregations of accuracy.
        agreement: None when no scorer was asked.
        outcomes: one per scored item, in the benchmark's order.
    """

    model: str
    style: str
    identity: str
    benchmark: str
    data: str
    mode: Mode | None
    totals: Totals
    metrics: dict[str, Estimate]
    aggregations: dict[str, dict[str, float]]
    agreement: ScorerAgreement | None
    outcomes: tuple[Outcome, ...]

    @property
    def occasion(self) -> str:
        """The benchmark; with its mode where that is not greedy decoding."""
        return f"{self.benchmark}, {self.mode}" if self.mode is Mode.SAMPLED else self.benchmark

    @property
    def checkpoint(self) -> str:
        """The identity, a hash in it shortened for reading."""
        return _HASH.sub(lambda found: found[0][:12], self.identity)


class Evaluation(_Record):
    """Everything measured in one folder.

    Attributes:
        settings: what the results depend on, as far as it is not secret.
        results: by model, then benchmark, in the order of the command line.
    """

    settings: dict[str, Any] = Field(default_factory=dict)
    results: tuple[BenchmarkResult, ...]

    @property
    def models(self) -> list[str]:
        """Names in order."""
        return list(dict.fromkeys(result.model for result in self.results))

    @property
    def occasions(self) -> list[str]:
        """What models were measured on, in order: benchmarks, apart by mode."""
        return list(dict.fromkeys(result.occasion for result in self.results))

    @property
    def judge(self) -> str:
        """Who judged; "" where that is not known."""
        return judge_name(self.settings.get("judges") or {})

    @property
    def measured_on(self) -> str:
        """In a line, what every table of these results has to name: data sets, judge and checkpoints."""
        taken = self.settings.get("taken") or {}
        data = dict.fromkeys(
            ", ".join([f"{result.benchmark}: {result.data}", *filter(None, [taken.get(result.benchmark)])])
            for result in self.results
        )
        models = dict.fromkeys(
            result.model if result.checkpoint == result.model else f"{result.model} {result.checkpoint}"
            for result in self.results
        )
        unlike = "; ".join(["", *self.settings.get("unlike", [])])
        return f"{'; '.join(data)}; judge: {self.judge or 'unknown'}; checkpoints: {', '.join(models)}{unlike}"

    def of(self, model: str, occasion: str) -> BenchmarkResult | None:
        """One result; None where that model was not measured on it."""
        found = (item for item in self.results if (item.model, item.occasion) == (model, occasion))
        return next(found, None)

    def save(self, out: Path) -> None:
        """Write `results.json`, whole or not at all."""
        write_whole(out / RESULTS, self.model_dump_json(indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Evaluation:
        """Read `results.json`, or the one in a folder or in a run's `evaluation/`.

        Raises:
            ValueError: when it is none.
            OSError: when it cannot be read.
        """
        if path.is_dir():
            files = [path / RESULTS, path / FOLDER / RESULTS]
            found = next((file for file in files if file.exists()), None)
            if found is None:
                old = any(any(folder.glob("*-greedy.json")) for folder in (path, path / FOLDER) if folder.is_dir())
                was = "measured by an earlier version" if old else "not measured"
                raise ValueError(
                    f"{path}: {was}, it holds no {RESULTS}; a run is measured by `fgrpo summary` with its overrides"
                )
            path = found
        return load_json(path, cls, "evaluation")


def judge_name(judges: Mapping[str, str]) -> str:
    """Who judged, by question; one name where it is the same for all."""
    names = list(dict.fromkeys(judges.values()))
    return names[0] if len(names) == 1 else ", ".join(f"{name} ({question})" for question, name in judges.items())


def models_to_compare(runs: Sequence[tuple[Path, Evaluation]]) -> Evaluation:
    """The results of the models that are compared, each under a name that tells it from the others.

    Args:
        runs: folders with what was measured in them.

    Raises:
        ValueError: for fewer than two models, one run given twice, or models that were judged by others.
    """
    places = [path.resolve() for path, _ in runs]
    if twice := next((path for path, _ in runs if places.count(path.resolve()) > 1), None):
        raise ValueError(f"{twice} is given twice: a run differs from itself in nothing; name another one")
    first, *others = runs
    for path, evaluation in others:
        ours, theirs = (found.settings.get("judges") for found in (first[1], evaluation))
        if ours != theirs:
            raise ValueError(f"{first[0]} was judged by {ours}, {path} by {theirs}: these cannot be compared")
    chosen = [
        (path, evaluation, model)
        for path, evaluation in runs
        for model in evaluation.models
        if len(runs) == 1 or model != BEFORE or AFTER not in evaluation.models
    ]
    if len(chosen) < 2:
        raise ValueError("two models at least are compared: name one more run")
    ways = (
        [model for _, _, model in chosen],
        [f"{_named(path)}/{model}" for path, _, model in chosen],
        [f"{path}/{model}" for path, _, model in chosen],
    )
    names = next(names for names in ways if len(set(names)) == len(names))
    results = [
        result.model_copy(update={"model": name})
        for name, (_, evaluation, model) in zip(names, chosen, strict=True)
        for result in evaluation.results
        if result.model == model
    ]
    return Evaluation(settings=_settings_of(runs), results=tuple(results))


def _settings_of(runs: Sequence[tuple[Path, Evaluation]]) -> dict[str, Any]:
    """The settings of the first; where others chose other rows or asked otherwise, `unlike` says who did how."""
    settings = dict(runs[0][1].settings)
    unlike = []
    for key, what in (("taken", "rows"), ("request", "requests"), ("seed", "seed"), ("scorer", "scorer")):
        said = [evaluation.settings.get(key) for _, evaluation in runs]
        if any(value != said[0] for value in said):
            settings.pop(key, None)
            unlike += [f"{what} of {path}: {value or 'all'}" for (path, _), value in zip(runs, said, strict=True)]
    return {**settings, "unlike": unlike} if unlike else settings


def _named(path: Path) -> str:
    """What a folder is called: of a run's `evaluation/`, the run."""
    path = path.resolve()
    return path.parent.name if path.name == FOLDER else path.name


def scorer_agreement(outcomes: Iterable[Outcome], seed: int = 0) -> ScorerAgreement:
    """Compare the two ways of matching answers; a bootstrap over answers gives kappa's interval."""
    outcomes = list(outcomes)
    pairs = [(item.accurate, item.accurate_by_scorer) for item in outcomes if item.accurate_by_scorer is not None]
    counts = confusion_by_record(((n, int(rule), int(scorer)) for n, (rule, scorer) in enumerate(pairs)), 2)
    total = counts.sum(axis=0, dtype=np.int64)
    return ScorerAgreement(
        right_by_rule_only=int(total[1, 0]),
        right_by_scorer_only=int(total[0, 1]),
        kappa=of_counts(counts, cohen_kappa, seed),
        unscored=len(outcomes) - len(pairs),
    )


def summarise(
    outcomes: Sequence[Outcome], items: Sequence[Meta], aggregate: Aggregate, *, scorer: bool, seed: int = 0
) -> dict[str, Any]:
    """The measured fields of a `BenchmarkResult`.

    Args:
        outcomes: of the scored items.
        items: all that were asked.
        aggregate: the benchmark's.
        scorer: whether a scorer was asked.
        seed: of the bootstraps.
    """
    right = {"rule": {item.item: float(item.accurate) for item in outcomes}}
    if scorer:
        words = ((item.item, item.accurate_by_scorer) for item in outcomes)
        right["scorer"] = {item: float(word) for item, word in words if word is not None}
    return {
        "metrics": measure(outcomes, seed),
        "aggregations": {way: aggregate(correct, items) for way, correct in right.items()},
        "agreement": scorer_agreement(outcomes, seed) if scorer else None,
        "outcomes": tuple(outcomes),
    }
