"""Outcomes and results made by hand."""

from easyr1_fgrpo.evaluation.mode import Mode
from easyr1_fgrpo.evaluation.results.metrics import measure
from easyr1_fgrpo.evaluation.results.outcome import Outcome
from easyr1_fgrpo.evaluation.results.results import BenchmarkResult, Totals
from easyr1_fgrpo.judges.protocol import Label


def outcome(index=0, **values):
    """A right, consistent answer without a claim, but for what is said."""
    values.setdefault("semantic_reason", "NO_CLAIM" if values.get("semantic_grounding") is None else "NONE")
    defaults = {
        "split": "test",
        "accurate": True,
        "well_formed": True,
        "truncated": False,
        "tokens": 10,
        "parsable": True,
        "consistency": Label.YES,
        "semantic_grounding": None,
        "spatial_grounding": None,
    }
    return Outcome(index=index, **defaults | values)


def result(model, outcomes, benchmark="held-out", mode=Mode.GREEDY, seed=0, **changes):
    """All of them scored, measured as an evaluation measures."""
    judged = sum(each.consistency is not None for each in outcomes)
    unparsable = sum(not each.parsable for each in outcomes)
    n = len(outcomes)
    totals = Totals(
        rows=n, rejected_rows=0, items=n, rejected_items=0, scored=n,
        judged=judged, unparsable=unparsable, unjudged=n - judged - unparsable,
    )  # fmt: skip
    values = {
        "style": "ours",
        "identity": f"weights of {model}",
        "data": "test.parquet, sha256 d",
        "totals": totals,
        "metrics": measure(outcomes, seed),
        "aggregations": {"rule": {"items": 0.5}},
        "agreement": None,
    }
    return BenchmarkResult(model=model, benchmark=benchmark, mode=mode, outcomes=tuple(outcomes), **values | changes)
