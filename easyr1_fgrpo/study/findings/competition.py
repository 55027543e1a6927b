"""Constraints that compete: a length budget that leaves no room for the boxes that spatial grounding wants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from easyr1_fgrpo.report.figures.style import COLOURS
from easyr1_fgrpo.study.findings.numbers import (
    CLOSE,
    Runs,
    last_mean,
    last_score,
    listed,
    measured,
    percent,
    same_start,
)
from easyr1_fgrpo.study.findings.question import CONSTRAINTS, WEIGHTED_SUM, Advice, Question, Section
from easyr1_fgrpo.study.records import Record
from easyr1_fgrpo.tables import markdown_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CONSTRAINED = ("fgrpo", "fgrpo_brief_0.5", "fgrpo_brief_0.9")
_SUMMED = ("weighted_sum_brief_0.3", "weighted_sum_brief_1.0")
_SIGNALS = ("length_budget", "consistency", "spatial_grounding", "semantic_grounding")


def _kept(record: Record, by: Record) -> dict[str, bool]:
    """Each signal for which the run `by` has a threshold: whether this run meets it at the end of training."""
    kept = {}
    for signal in _SIGNALS:
        threshold, score = last_mean(by, f"fgrpo/{signal}/threshold"), last_score(record, signal)
        if threshold is not None and score is not None:
            kept[signal] = score >= threshold - CLOSE
    return kept


def _find(runs: Runs) -> Section | None:
    tight = runs.one(_CONSTRAINED[-1])
    if tight is None or not (kept := _kept(tight, tight)):
        return None
    named = {holds: listed(name.replace("_", " ") for name in kept if kept[name] is holds) for holds in (True, False)}
    usual, best = runs.one("fgrpo"), _best_sum(runs, tight)
    sums = "" if best is None else f", a weighted sum with the better of the weights tried {best}"
    cost = f", {_accuracy(usual)} % without the budget" if usual else ""
    answer = (
        f"With a length budget of 18 words at a threshold of 0.9, where a trace with boxes has some 34, constraints "
        f"meet {sum(kept.values())} of {len(kept)} levels{sums}: met {named[True]}, missed {named[False]}; accuracy is "
        f"{_accuracy(tight)} %{cost} (sampled, seed 0)."
    )
    heads = ["arm", *(f"{name.replace('_', ' ')} %" for name in _SIGNALS), "last multipliers", "accuracy %"]
    lines = [
        [f"`{arm}`", *_scores(record), _multipliers(record), _accuracy(record)]
        for arm in (*_CONSTRAINED, *_SUMMED)
        if (record := runs.one(arm))
    ]
    note = "Scores are of the rollouts that each applies to, mean of the last 50 steps; multipliers in the same order."
    return Section(answer, [markdown_table(heads, lines, escape=False), note, *_lost(tight, kept)])


def _lost(record: Record, kept: Mapping[str, bool]) -> list[str]:
    """Missed constraints that no group's rollouts differ in any more."""
    lost = [name for name in kept if not kept[name] and last_mean(record, f"fgrpo/{name}/zero_variance_groups") == 1.0]
    if not lost:
        return []
    return [
        f"Nothing is left to compare in {listed(name.replace('_', ' ') for name in lost)}: no group's rollouts differ "
        "there, so no multiplier brings it back. A run warns of that; what helps is a budget that is looser or comes "
        "later."
    ]


def _scores(record: Record) -> list[str]:
    return [percent(last_score(record, signal)) for signal in _SIGNALS]


def _accuracy(record: Record) -> str:
    return percent(measured(record, "accuracy"))


def _multipliers(record: Record) -> str:
    values = [last_mean(record, f"fgrpo/{signal}/multiplier", 1) for signal in _SIGNALS]
    return ", ".join("-" if value is None else f"{value:.2f}" for value in values)


def _best_sum(runs: Runs, tight: Record) -> int | None:
    """How many of the levels that `tight` asks for the best sum meets; None without one of the same warm start."""
    found = [record for arm in _SUMMED if (record := runs.one(arm)) and same_start(record, tight)]
    return max((sum(_kept(record, tight).values()) for record in found), default=None)


def _advise(runs: Runs) -> list[Advice]:
    tight = runs.one(_CONSTRAINED[-1])
    best = _best_sum(runs, tight) if tight else None
    if tight is None or best is None:
        return []
    kept = _kept(tight, tight)
    ours = sum(kept.values())
    better = CONSTRAINTS if ours > best else WEIGHTED_SUM
    use = f"{CONSTRAINTS} or {WEIGHTED_SUM}, not told apart" if ours == best else better
    evidence = (
        f"{ours} of {len(kept)} levels hold with constraints, {best} with the best weights tried in a sum (seed 0)"
    )
    return [Advice(use, "signals compete, here for words", evidence)]


def _draw(figure: Figure, runs: Runs) -> None:
    found = [record for arm in (*_CONSTRAINED, *_SUMMED) if (record := runs.one(arm))]
    axis = figure.subplots()
    width = 0.8 / len(_SIGNALS)
    for shift, (signal, colour) in enumerate(zip(_SIGNALS, COLOURS, strict=False)):
        scores = [last_score(record, signal) for record in found]
        places = [place + shift * width for place, score in enumerate(scores) if score is not None]
        heights = [100 * score for score in scores if score is not None]
        axis.bar(places, heights, width=width, color=colour, label=signal.replace("_", " "))
    axis.set(ylabel="% (last 50 steps)", ylim=(0, 105), xticks=[place + 0.3 for place in range(len(found))])
    axis.set_xticklabels([record.arm.replace("_brief_", "\n+ length ") for record in found])
    figure.legend(loc="outside lower center", ncols=4)


QUESTION = Question(
    slug="competition",
    title="What if constraints compete?",
    arms=(*_CONSTRAINED, *_SUMMED),
    seeds=(0,),
    find=_find,
    draw=_draw,
    advise=_advise,
)
