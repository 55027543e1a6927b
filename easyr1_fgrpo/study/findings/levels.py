"""Which level comes out when one is asked for: thresholds of constraints against weights of a sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from easyr1_fgrpo.report.figures.style import COLOURS
from easyr1_fgrpo.study.arms import LEVELS, WEIGHTS
from easyr1_fgrpo.study.findings.numbers import (
    CLOSE,
    LAST,
    Runs,
    consistency,
    last_mean,
    last_score,
    measured,
    percent,
)
from easyr1_fgrpo.study.findings.question import CONSTRAINTS, Advice, Question, Section
from easyr1_fgrpo.study.records import Record
from easyr1_fgrpo.tables import markdown_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIGNALS = ("consistency", "semantic_grounding")
PAPERS = "0.95"


def _series(prefix: str, usual: str, usual_at: str, values: Sequence[str]) -> dict[float, str]:
    """Arms by the number they are given, ascending."""
    named = {float(value): f"{prefix}_{value}" for value in values} | {float(usual_at): usual}
    return dict(sorted(named.items()))


DUAL = _series("fgrpo_level", "fgrpo", PAPERS, LEVELS)
PID = _series("pid_level", "fgrpo_pid", PAPERS, LEVELS)
WEIGHTED = _series("weighted_sum", "weighted_sum", "1.0", WEIGHTS)
CONTROLLERS = {"dual ascent": DUAL, "PID": PID}


def _gaps(runs: Runs, arms: Mapping[float, str]) -> list[float]:
    """Measured minus asked at the end of training, for every constraint of every run, in [-1, 1]."""
    return [
        score - asked
        for asked, arm in arms.items()
        if (record := runs.one(arm))
        for signal in SIGNALS
        if (score := last_score(record, signal)) is not None
    ]


def _find(runs: Runs) -> Section | None:
    gaps = {name: _gaps(runs, arms) for name, arms in CONTROLLERS.items()}
    if not gaps["dual ascent"]:
        return None
    every = [gap for found in gaps.values() for gap in found]
    kept = sum(gap >= -CLOSE for gap in every)
    hit = sum(abs(gap) <= CLOSE for gap in every)
    answer = (
        f"{_opening(kept, len(every))} `fgrpo.constraints.consistency.threshold=0.95`: {kept} of {len(every)} "
        f"constraints end at the level that was asked for or above it (mean of the last {LAST} steps, "
        f"{100 * CLOSE:.0f} points allowed), {hit} of them within {100 * CLOSE:.0f} points of it. A threshold is the "
        "least that is accepted: what training gives anyway stays above it."
    )
    heads = [
        *("asked", "by", "consistency %", "semantic grounding %", "on the test set %", "accuracy %"),
        *("faithful accuracy %", "last multipliers"),
    ]
    lines = [
        [f"{asked:g}", name, *_got(record), _multipliers(record)]
        for name, arms in CONTROLLERS.items()
        for asked, arm in arms.items()
        if (record := runs.one(arm))
    ]
    weights = [
        [f"{weight:g}", "weight in a sum", *_got(record), ""]
        for weight, arm in WEIGHTED.items()
        if (record := runs.one(arm))
    ]
    return Section(
        answer,
        [
            markdown_table(heads, [*lines, *weights], escape=False),
            f"Consistency and semantic grounding: of right answers, mean of the last {LAST} training steps. On the "
            "test set: consistency and semantic grounding of all sampled answers. Accuracy: sampled.",
            *_slack(runs),
            *_weights(runs),
        ],
    )


def _opening(kept: int, of: int) -> str:
    if kept == of:
        return "Type the level as the threshold,"
    return "Type the level as the threshold and look at what comes out," if 2 * kept > of else "No threshold gives it,"


def _slack(runs: Runs) -> list[str]:
    """What a low threshold allows."""
    whole = {
        asked: f"{percent(measured(record, 'faithful_accuracy'))} % with {percent(measured(record, 'accuracy'))} %"
        for asked, arm in DUAL.items()
        if (record := runs.one(arm))
    }
    if len(whole) < 2:
        return []
    low, high = min(whole), max(whole)
    return [
        "A threshold is a share of claims, and the false ones that it allows need not be in few traces: faithful "
        f"accuracy, which wants every claim of a trace to hold, is {whole[low]} accuracy where {low:g} was asked for, "
        f"{whole[high]} where {high:g} was."
    ]


def _got(record: Record) -> list[str]:
    return [
        *(percent(last_score(record, signal)) for signal in SIGNALS),
        f"{percent(consistency(record))}, {percent(measured(record, 'semantic_grounding'))}",
        *(percent(measured(record, name)) for name in ("accuracy", "faithful_accuracy")),
    ]


def _multipliers(record: Record) -> str:
    values = [last_mean(record, f"fgrpo/{signal}/multiplier", 1) for signal in SIGNALS]
    return ", ".join("none" if value is None else f"{value:.2f}" for value in values)


def _weights(runs: Runs) -> list[str]:
    found = {weight: record for weight, arm in WEIGHTED.items() if (record := runs.one(arm))}
    if len(found) < 2:
        return []
    ranges = []
    for signal in SIGNALS:
        scores = [score for record in found.values() if (score := last_score(record, signal)) is not None]
        if scores:
            ranges.append(f"{signal.replace('_', ' ')} from {percent(min(scores))} to {percent(max(scores))} %")
    low, high = min(found), max(found)
    return [f"Weights from {low:g} to {high:g} in a sum give {', '.join(ranges)}; a weight names no level."]


def _advise(runs: Runs) -> list[Advice]:
    gaps = _gaps(runs, DUAL)
    if not gaps:
        return []
    kept = sum(gap >= -CLOSE for gap in gaps)
    evidence = (
        f"{kept} of {len(gaps)} levels met by dual ascent, {100 * CLOSE:.0f} points allowed, nothing tuned; a weight "
        "names none (seed 0)"
    )
    if 2 * kept <= len(gaps):
        return []
    return [Advice(CONSTRAINTS, "a level is asked for: so much consistency, at least", evidence)]


def _draw(figure: Figure, runs: Runs) -> None:
    left, right = figure.subplots(1, 2, sharey=True)
    looks = {"consistency": ("o", "-"), "semantic_grounding": ("s", "--")}
    left.axline((0.9, 90), slope=100, color="#BBBBBB", linewidth=0.8)
    for colour, (name, arms) in zip(COLOURS, CONTROLLERS.items(), strict=False):
        for signal, (marker, line) in looks.items():
            points = _points(runs, arms, signal)
            label = f"{name}, {signal.replace('_', ' ')}"
            left.plot(*points, marker=marker, linestyle=line, color=colour, label=label)
    for signal, (marker, line) in looks.items():
        label = f"sum, {signal.replace('_', ' ')}"
        right.plot(*_points(runs, WEIGHTED, signal), marker=marker, linestyle=line, color=COLOURS[2], label=label)
    left.set(xlabel="threshold asked for", ylabel=f"got, % (last {LAST} steps)", title="constraints")
    right.set(xlabel="weight in the sum", xscale="log", title="weighted sum")
    right.set_xticks(list(WEIGHTED), [f"{weight:g}" for weight in WEIGHTED], minor=False)
    right.minorticks_off()
    figure.legend(loc="outside lower center", ncols=3)


def _points(runs: Runs, arms: Mapping[float, str], signal: str) -> tuple[list[float], list[float]]:
    found = {
        number: 100 * score
        for number, arm in arms.items()
        if (record := runs.one(arm)) and (score := last_score(record, signal)) is not None
    }
    return list(found), list(found.values())


QUESTION = Question(
    slug="levels",
    title="I want 95 % consistency: what do I type?",
    arms=(*DUAL.values(), *PID.values(), *WEIGHTED.values()),
    seeds=(0,),
    find=_find,
    draw=_draw,
    advise=_advise,
)
