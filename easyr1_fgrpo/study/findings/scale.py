"""A judge that uses another part of its range: what a weighted sum and what constraints lose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from easyr1_fgrpo.study.findings.drawing import bars
from easyr1_fgrpo.study.findings.numbers import CLOSE, Runs, last_score, measured, percent, same_start
from easyr1_fgrpo.study.findings.question import CONSTRAINTS, WEIGHTED_SUM, Advice, Question, Section
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


def _loss(runs: Runs, method: str, scale: str = "times 0.1") -> float | None:
    usual, scaled = _grounding(runs, method, "times 1"), _grounding(runs, method, scale)
    return None if usual is None or scaled is None else usual - scaled


def _find(runs: Runs) -> Section | None:
    lost = {method: _loss(runs, method) for method in _SCALES}
    if any(loss is None for loss in lost.values()):
        return None
    answer = (
        f"With semantic grounding times 0.1 it ends {_points(lost['constraints'])} by FGRPO (threshold 0.095) and "
        f"{_points(lost['weighted sum'])} by a weighted sum. FGRPO normalises every signal within its group before a "
        "multiplier weighs it, so a scale falls out of the advantages; not out of the dual step, which is the rate "
        "times the violation: the multiplier moves a tenth as fast, so a signal should use all of [0, 1]."
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
    if round(100 * loss, 1) == 0.0:
        return "where it was"
    return f"{abs(100 * loss):.1f} points {'lower' if loss > 0 else 'higher'}"


def _numbers(record: Record) -> list[str]:
    tested = (_SIGNAL, "accuracy", "faithful_accuracy")
    return [percent(last_score(record, _SIGNAL)), *(percent(measured(record, name)) for name in tested)]


def _advise(runs: Runs) -> list[Advice]:
    ours = _loss(runs, "constraints")
    sums = [loss for scale in ("times 0.1", "times 10") if (loss := _loss(runs, "weighted sum", scale)) is not None]
    arms = [arm for arms in _SCALES.values() for arm in arms.values()]
    if ours is None or not sums or not same_start(*runs.all(arms, [0])):
        return []
    worst = max(sums)
    evidence = (
        f"a tenth of the scale costs {100 * ours:+.1f} points of semantic grounding with constraints, another scale "
        f"{100 * worst:+.1f} in a sum (seed 0)"
    )
    better = CONSTRAINTS if ours < worst else WEIGHTED_SUM
    use = f"{CONSTRAINTS} or {WEIGHTED_SUM}, not told apart" if abs(ours - worst) <= CLOSE else better
    return [Advice(use, "signals have scales that nobody has tuned to each other", evidence)]


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
