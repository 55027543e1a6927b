"""Sparser rewards: four options, where a guess is right in a quarter of the questions."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

from easyr1_fgrpo.report.figures.style import looks
from easyr1_fgrpo.study.arms import SEEDS
from easyr1_fgrpo.study.findings.numbers import Runs, decided, measured, over_seeds, percent, seeds_named, with_interval
from easyr1_fgrpo.study.findings.question import Advice, Question, Section
from easyr1_fgrpo.tables import markdown_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_OURS = "fgrpo"
_ARMS = ("grpo_t", "additive", "multiplicative", "fgrpo")
_MEASURES = {"accuracy": "accuracy %", "faithful_accuracy": "faithful accuracy %", "inconsistency": "inconsistent %"}


def _mean(runs: Runs, arm: str, measure: str) -> float:
    return fmean(measured(record, measure) for record in runs.of(arm))


def _find(runs: Runs) -> Section | None:
    found = [arm for arm in _ARMS if runs.of(arm)]
    if _OURS not in found or len(found) < 2:
        return None
    right = {arm: _mean(runs, arm, "faithful_accuracy") for arm in found}
    best = max(right, key=lambda arm: right[arm])
    answer = (
        f"`{best}` is right for reasons that hold most often, in {percent(right[best])} % of the sampled answers"
        + ("" if best == _OURS else f"; `{_OURS}` in {percent(right[_OURS])} %")
        + f" ({seeds_named([record.seed for record in runs.of(best)])})."
    )
    heads = ["arm", *_MEASURES.values(), f"faithful accuracy minus `{_OURS}`'s, points", "seeds"]
    lines = [
        [
            f"`{arm}`",
            *(percent(_mean(runs, arm, name)) for name in _MEASURES),
            "" if arm == _OURS else _minus_ours(runs, arm),
            str(len(runs.of(arm))),
        ]
        for arm in found
    ]
    return Section(answer, [markdown_table(heads, lines, escape=False)])


def _minus_ours(runs: Runs, arm: str) -> str:
    differences = (
        measured(a, "faithful_accuracy") - measured(b, "faithful_accuracy") for a, b in runs.pairs(arm, _OURS)
    )
    return with_interval(over_seeds(differences), signed=True)


def _advise(runs: Runs) -> list[Advice]:
    advice = []
    for arm, name in (("additive", "a weighted sum"), ("multiplicative", "a product")):
        pairs = runs.pairs(_OURS, arm)
        if len(pairs) < 2:
            continue
        found = over_seeds(measured(a, "faithful_accuracy") - measured(b, "faithful_accuracy") for a, b in pairs)
        better = "constraints" if (found.value or 0.0) > 0.0 else name
        evidence = (
            f"faithful accuracy of `{_OURS}` minus `{arm}`: {with_interval(found, signed=True)} points, "
            f"{len(pairs)} seeds"
        )
        use = better if decided(found) else f"constraints or {name}"
        advice.append(Advice(use, "a guess is seldom right: four options", evidence))
    return advice


def _draw(figure: Figure, runs: Runs) -> None:
    axis = figure.subplots()
    for arm, look in looks([arm for arm in _ARMS if runs.of(arm)]).items():
        for record in runs.of(arm):
            values = record.training["fgrpo/signals/accuracy/mean"]
            known = [(step, 100 * v) for step, v in zip(record.training_steps, values, strict=True) if v is not None]
            label = arm if record is runs.of(arm)[0] else None
            axis.plot(*zip(*known, strict=True), color=look.colour, linewidth=0.7, label=label)
    axis.set(xlabel="step", ylabel="right rollouts, %")
    figure.legend(loc="outside right center")


QUESTION = Question(
    slug="four_way",
    title="Who wins when rewards are sparse?",
    arms=_ARMS,
    seeds=SEEDS,
    world="four_way",
    find=_find,
    draw=_draw,
    advise=_advise,
)
