"""An evaluation as tables: accuracy like FGRPO Table 1, reasoning quality like its Figure 3, and paired comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean

from easyr1_fgrpo.evaluation.results.comparison import AVERAGE, COMPARED, Difference, average, averages, differences
from easyr1_fgrpo.evaluation.results.results import BenchmarkResult, Evaluation
from easyr1_fgrpo.files import write_whole
from easyr1_fgrpo.statistics import Estimate
from easyr1_fgrpo.tables import NOTHING, Cell, Grid

TITLES = {
    "accuracy": "accuracy, by rule",
    "accuracy_by_scorer": "accuracy, by scorer",
    "faithful_accuracy": "faithful accuracy",
    "inconsistency": "inconsistency rate",
    "semantic_grounding": "semantic grounding",
    "spatial_grounding": "spatial grounding",
    "format": "format",
}
_SHARES = {
    "empty": "  empty replies, wrong",
    "unparsable": "  no trace or no answer",
    "unjudged": "  not judged",
    "no_claim": "  no claim",
    "grounding_unjudged": "  claims not judged",
}
_BELOW = {
    "accuracy": ("empty",),
    "inconsistency": ("unparsable", "unjudged"),
    "semantic_grounding": ("no_claim", "grounding_unjudged"),
}
_INTERVALS = "per cent, 95 % interval in brackets: Wilson's for shares, bootstrap for means and the average"


def tables(evaluation: Evaluation, seed: int = 0) -> list[Grid]:
    """All tables of an evaluation; that of comparisons only when there are two models."""
    grids = [accuracy_table(evaluation, seed), quality_table(evaluation, seed)]
    if len(evaluation.models) > 1:
        grids.append(comparison_table(evaluation, seed))
    return grids


def accuracy_table(evaluation: Evaluation, seed: int = 0) -> Grid:
    """Models by rows, benchmarks by columns, and their unweighted mean.

    The paper's aggregation is the share of right answers; a row with that of each benchmark's authors is added where it
    differs.
    """
    ways = {"accuracy": "rule"}
    if any(result.agreement for result in evaluation.results):
        ways = {"accuracy_by_scorer": "scorer", **ways}
    rows: list[tuple[Cell, ...]] = []
    for model in evaluation.models:
        for measure, way in ways.items():
            rows.append((model, way, "paper", *_row(evaluation, model, measure, seed)))
            if any(_apart(result, way) for result in _of(evaluation, model)):
                rows.append((model, way, "authors", *_authors_row(evaluation, model, way)))
    rejected = sum(result.totals.rejected_items for result in evaluation.results)
    note = f"; {rejected} rejected items are left out" if rejected else ""
    if empty := _empty(evaluation.results):
        note += f"; {empty} empty replies count as wrong"
    labels = ("model", "matched by", "aggregated as")
    return _grid(evaluation, "accuracy", "Accuracy, pass@1, greedy where not stated otherwise", labels, rows, note)


def quality_table(evaluation: Evaluation, seed: int = 0) -> Grid:
    """Accuracy, inconsistency rate and grounding by benchmark, with the shares that have no value."""
    blanks = [NOTHING] * len(averages(evaluation.results))
    rows: list[tuple[Cell, ...]] = []
    for model in evaluation.models:
        for measure in COMPARED:
            if not _belongs(measure, _of(evaluation, model)):
                continue
            rows.append((model, TITLES[measure], *_row(evaluation, model, measure, seed)))
            if measure == "inconsistency":
                bounds = [_bounds(evaluation.of(model, occasion)) for occasion in evaluation.occasions]
                rows.append((model, "  its bounds", *bounds, *blanks))
            for share in _BELOW.get(measure, ()):
                if share == "empty" and not any(
                    outcome.empty for of in _of(evaluation, model) for outcome in of.outcomes
                ):
                    continue
                found = [_share(evaluation.of(model, occasion), share) for occasion in evaluation.occasions]
                rows.append((model, _SHARES[share], *found, *blanks))
    note = (
        "; faithful accuracy: right, entailed by the trace, and every scored sentence true; inconsistency: "
        "(NO + UNCERTAIN) / judged, over right and wrong answers (FGRPO section 4.1)"
    )
    return _grid(evaluation, "reasoning_quality", "Reasoning quality", ("model", "measure"), rows, note)


def comparison_table(evaluation: Evaluation, seed: int = 0) -> Grid:
    """Every pair of models, later minus earlier, on the items that both have a value for.

    Raises:
        ValueError: when two of them share no item.
    """
    rows = [
        (f"{second[0].model} minus {first[0].model}", found.occasion, TITLES[found.measure], *_cells(found))
        for first, second in combinations([_of(evaluation, model) for model in evaluation.models], 2)
        for found in differences(first, second, seed)
    ]
    header = ("models", "benchmark", "measure", "difference", "pairs", "p")
    caption = (
        "percentage points, paired over the same items, 95 % bootstrap interval; p: McNemar's exact test, two-sided, "
        f"over all items in the rows {AVERAGE}. {evaluation.measured_on}"
    )
    return Grid("comparison", "Paired comparison", caption, header, 3, tuple(rows), signed=True)


def save(grids: Sequence[Grid], out: Path) -> None:
    """Write every table as Markdown, CSV and LaTeX into `tables/`."""
    folder = out / "tables"
    for grid in grids:
        for suffix, text in (("md", grid.markdown()), ("csv", grid.csv()), ("tex", grid.latex())):
            write_whole(folder / f"{grid.name}.{suffix}", text)


# ---------------------------------------------------------------------- rows and cells


def _grid(
    evaluation: Evaluation, name: str, title: str, labels: tuple[str, ...], rows: Sequence[tuple[Cell, ...]], note: str
) -> Grid:
    header = (*labels, *evaluation.occasions, *averages(evaluation.results))
    return Grid(name, title, f"{_INTERVALS}{note}. {evaluation.measured_on}", header, len(labels), tuple(rows))


def _belongs(measure: str, results: Sequence[BenchmarkResult]) -> bool:
    """Whether a model's measure is a row: what few benchmarks have, only where one of them has it."""
    if measure == "accuracy_by_scorer":
        return any(result.agreement for result in results)
    if measure == "spatial_grounding":
        return any(result.metrics[measure].n for result in results)
    return measure != "format"


def _row(evaluation: Evaluation, model: str, measure: str, seed: int) -> list[Estimate | None]:
    """A measure on every benchmark and, of several, the average of all of them."""
    results = [evaluation.of(model, occasion) for occasion in evaluation.occasions]
    cells = [_metric(result, measure) for result in results]
    for occasions in averages(evaluation.results).values():
        there = [found for occasion in occasions if (found := evaluation.of(model, occasion))]
        cells.append(average(there, measure, seed) if len(there) == len(occasions) else None)
    return cells


def _apart(result: BenchmarkResult, way: str) -> bool:
    """Whether the authors' aggregation is another one than the paper's."""
    named = result.aggregations.get(way, {})
    return named.get("authors") != named.get("paper")


def _authors_row(evaluation: Evaluation, model: str, way: str) -> list[Estimate | None]:
    """Accuracy on every benchmark as its authors aggregate it and, of several, the mean of all of them."""
    results = {occasion: evaluation.of(model, occasion) for occasion in evaluation.occasions}
    values = {at: found.aggregations.get(way, {}).get("authors") if found else None for at, found in results.items()}
    scored = {at: found.totals.scored if found else 0 for at, found in results.items()}
    cells = [(values[at], scored[at]) for at in results]
    for occasions in averages(evaluation.results).values():
        numbers = [value for at in occasions if (value := values[at]) is not None]
        mean = fmean(numbers) if len(numbers) == len(occasions) else None
        cells.append((mean, sum(scored[at] for at in occasions)))
    return [Estimate(value=value, low=None, high=None, n=n) for value, n in cells]


def _metric(result: BenchmarkResult | None, name: str) -> Estimate | None:
    return None if result is None else result.metrics.get(name)


def _share(result: BenchmarkResult | None, name: str) -> Estimate | None:
    """A share without its interval: it explains a row and is no result."""
    found = _metric(result, name)
    return None if found is None else found.model_copy(update={"low": None, "high": None})


def _bounds(result: BenchmarkResult | None) -> str:
    if result is None:
        return NOTHING
    low, high = result.metrics["inconsistency_at_least"].value, result.metrics["inconsistency_at_most"].value
    return NOTHING if low is None or high is None else f"{100 * low:.1f}–{100 * high:.1f}"


def _cells(found: Difference) -> tuple[Cell, ...]:
    p = NOTHING if found.p_value is None else "<0.001" if found.p_value < 0.001 else f"{found.p_value:.3f}"
    return found.estimate, str(found.estimate.n), p


def _empty(results: Sequence[BenchmarkResult]) -> int:
    """How many replies had no text."""
    return sum(outcome.empty for result in results for outcome in result.outcomes)


def _of(evaluation: Evaluation, model: str) -> list[BenchmarkResult]:
    return [result for result in evaluation.results if result.model == model]
