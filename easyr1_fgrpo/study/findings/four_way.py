"""Sparser rewards: four options, where a guess is right in a quarter of the questions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from easyr1_fgrpo.report.figures.style import looks
from easyr1_fgrpo.statistics import Estimate
from easyr1_fgrpo.study.arms import SEEDS
from easyr1_fgrpo.study.findings.numbers import (
    Runs,
    curve,
    decided,
    listed,
    measured,
    measured_mean,
    over_seeds,
    percent,
    same_start,
    seeds_named,
    with_interval,
)
from easyr1_fgrpo.study.findings.question import CONSTRAINTS, PRODUCT, SUM, Advice, Question, Section
from easyr1_fgrpo.study.records import Record
from easyr1_fgrpo.tables import markdown_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_OURS = "fgrpo"
_ARMS = ("grpo_t", "additive", "multiplicative", "fgrpo")
_MEASURES = {"accuracy": "accuracy %", "faithful_accuracy": "faithful accuracy %", "inconsistency": "inconsistent %"}


def _shared(runs: Runs) -> dict[str, list[Record]]:
    """The arms that have run, each with the seeds that all of them and a warm start share; empty without such."""
    arms = [arm for arm in _ARMS if runs.of(arm)]
    seeds = [seed for seed in SEEDS if same_start(*(runs.one(arm, seed) for arm in arms))]
    return {arm: runs.of(arm, seeds) for arm in arms} if seeds else {}


def _lead(runs: Runs, arm: str, other: str) -> Estimate:
    """Faithful accuracy of an arm minus another's."""
    pairs = runs.pairs(arm, other)
    return over_seeds(measured(a, "faithful_accuracy") - measured(b, "faithful_accuracy") for a, b in pairs)


def _find(runs: Runs) -> Section | None:
    found = _shared(runs)
    if _OURS not in found or len(found) < 2:
        return None
    right = {arm: measured_mean(records, "faithful_accuracy") for arm, records in found.items()}
    first, second, *_ = sorted(right, key=lambda arm: right[arm], reverse=True)
    seeds = seeds_named([record.seed for record in found[first]])
    shared = Runs(record for records in found.values() for record in records)
    wins = f"`{first}`" if decided(_lead(shared, first, second)) else f"Not decided by {seeds}"
    shares = listed(f"{percent(right[arm])} % after `{arm}`" for arm in sorted(right, key=lambda arm: -right[arm]))
    answer = f"{wins}: right for reasons that hold are, of the sampled answers, {shares} ({seeds})."
    heads = ["arm", *_MEASURES.values(), f"faithful accuracy minus `{_OURS}`'s, points", "seeds"]
    lines = [
        [
            f"`{arm}`",
            *(percent(measured_mean(runs.of(arm), name)) for name in _MEASURES),
            "" if arm == _OURS else with_interval(_lead(runs, arm, _OURS), signed=True),
            str(len(runs.of(arm))),
        ]
        for arm in found
    ]
    return Section(answer, [markdown_table(heads, lines, escape=False)])


def _advise(runs: Runs) -> list[Advice]:
    advice = []
    for arm, name in (("additive", SUM), ("multiplicative", PRODUCT)):
        pairs = runs.pairs(_OURS, arm)
        if len(pairs) < 2:
            continue
        found = _lead(runs, _OURS, arm)
        better = CONSTRAINTS if (found.value or 0.0) > 0.0 else name
        use = better if decided(found) else f"{CONSTRAINTS} or {name}, not told apart"
        evidence = (
            f"faithful accuracy of `{_OURS}` minus `{arm}`: {with_interval(found, signed=True)} points, "
            f"{len(pairs)} seeds"
        )
        advice.append(Advice(use, "a guess is seldom right: four options", evidence))
    return advice


def _draw(figure: Figure, runs: Runs) -> None:
    axis = figure.subplots()
    for arm, look in looks([arm for arm in _ARMS if runs.of(arm)]).items():
        for record in runs.of(arm):
            steps, values = curve(record, "fgrpo/signals/accuracy/mean")
            label = arm if record is runs.of(arm)[0] else None
            axis.plot(steps, [100 * value for value in values], color=look.colour, linewidth=0.7, label=label)
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
