"""A judge that uses another part of its range: what a weighted sum and what constraints lose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from easyr1_fgrpo.study.findings.drawing import bars
from easyr1_fgrpo.study.findings.numbers import CLOSE, Runs, last_score, measured, percent
from easyr1_fgrpo.study.findings.question import Advice, Question, Section
from easyr1_fgrpo.study.records import Record
from easyr1_fgrpo.tables import markdown_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SCALES = {
    "constraints": {"times 1": "fgrpo", "times 0.1": "fgrpo_tenth"},
    "weighted sum": {"times 1": "weighted_sum", "times 0.1": "weighted_sum_tenth", "times 10": "weighted_sum_tenfold"},
}
_SIGNAL = "semantic_grounding"


def _grounding(runs: Runs, method: str, scale: str) -> float | None:
    record = runs.one(_SCALES[method][scale])
    return last_score(record, _SIGNAL) if record else None


def _loss(runs: Runs, method: str) -> float | None:
    usual, tenth = _grounding(runs, method, "times 1"), _grounding(runs, method, "times 0.1")
    return None if usual is None or tenth is None else usual - tenth


def _find(runs: Runs) -> Section | None:
    lost = {method: _loss(runs, method) for method in _SCALES}
    if any(loss is None for loss in lost.values()):
        return None
    answer = (
        "Every signal is normalised within its group before its multiplier weighs it, so a scale falls out of the "
        "advantages of FGRPO, and its threshold goes with the signal: with semantic grounding times 0.1 it ends "
        f"{_points(lost['constraints'])} by FGRPO (threshold 0.095) and {_points(lost['weighted sum'])} by a weighted "
        "sum."
    )
    heads = ["method", "semantic grounding", "measured %", "on the test set %", "accuracy %", "faithful accuracy %"]
    lines = [
        [method, scale, *_numbers(record)]
        for method, arms in _SCALES.items()
        for scale, arm in arms.items()
        if (record := runs.one(arm))
    ]
    note = (
        "Measured: of right answers, before it is multiplied, mean of the last 50 steps. Times 10 leaves [0, 1], which "
        "a signal may not; in a sum it is a weight of 10."
    )
    return Section(answer, [markdown_table(heads, lines, escape=False), note])


def _points(loss: float | None) -> str:
    if loss is None:
        return "unmeasured"
    return f"{abs(100 * loss):.1f} points {'lower' if loss > 0 else 'higher'}"


def _numbers(record: Record) -> list[str]:
    tested = (_SIGNAL, "accuracy", "faithful_accuracy")
    return [percent(last_score(record, _SIGNAL)), *(percent(measured(record, name)) for name in tested)]


def _advise(runs: Runs) -> list[Advice]:
    ours, sums = _loss(runs, "constraints"), _loss(runs, "weighted sum")
    if ours is None or sums is None:
        return []
    evidence = f"a tenth of the scale costs {100 * ours:+.1f} points with constraints, {100 * sums:+.1f} in a sum"
    best = "either" if abs(ours - sums) <= CLOSE else "constraints" if ours < sums else "a weighted sum"
    return [Advice(best, "signals have scales that nobody has tuned to each other", evidence)]


def _draw(figure: Figure, runs: Runs) -> None:
    values = {
        f"{method}\n{scale}": _grounding(runs, method, scale) for method, arms in _SCALES.items() for scale in arms
    }
    bars(figure.subplots(), values, "semantic grounding, % (last 50 steps)")


QUESTION = Question(
    slug="scale",
    title="What if a judge uses a tenth of its range?",
    arms=tuple(arm for arms in _SCALES.values() for arm in arms.values()),
    seeds=(0,),
    find=_find,
    draw=_draw,
    advise=_advise,
)
