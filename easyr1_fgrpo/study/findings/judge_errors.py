"""A judge that errs: what it costs, and what telling the run about it brings back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from easyr1_fgrpo.report.figures.style import COLOURS
from easyr1_fgrpo.study.arms import ARMS, CORRECTED
from easyr1_fgrpo.study.findings.numbers import LAST, Runs, curve, last_mean, measured, percent
from easyr1_fgrpo.study.findings.question import Question, Section
from easyr1_fgrpo.study.records import Record
from easyr1_fgrpo.tables import markdown_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_KEYS = ("consistency", "semantic_grounding")
_ARMS = (
    "fgrpo",
    *(name for name, arm in ARMS.items() if arm.judge_errors and name not in CORRECTED.values()),
    *CORRECTED.values(),
)


def _find(runs: Runs) -> Section | None:
    right = runs.one("fgrpo")
    pairs = [(erring, told) for arm, its in CORRECTED.items() if (erring := runs.one(arm)) and (told := runs.one(its))]
    if right is None or not pairs:
        return None
    erring, told = pairs[0]
    wrong = percent(ARMS[erring.arm].judge_errors, 0)
    three = (erring, right, told)
    faithful = [_sampled(record, "faithful_accuracy") for record in three]
    multiplier, share = ([number(record) for record in three] for number in (_ends_at, _task_share))
    answer = (
        f"With {wrong} % of its verdicts wrong faithful accuracy is {faithful[0]} % instead of {faithful[1]} %, and "
        f"{faithful[2]} % where the run is told ([`judge_error`](judges.md#a-judge-that-errs); sampled, seed 0); "
        f"consistency's multiplier ends at {multiplier[0]} instead of {multiplier[1]}, and at {multiplier[2]} where it "
        f"is told; the task's share of the advantages is {share[0]} % instead of {share[1]} %, and {share[2]} %."
    )
    heads = [
        *("judge in training", "threshold it is held to", "measured at the end", "last multipliers"),
        *("task's share %", "accuracy %", "faithful accuracy %", "inconsistent %"),
    ]
    lines = [[_judge(arm), *_numbers(record)] for arm in _ARMS if (record := runs.one(arm))]
    note = (
        f"Thresholds, measured scores and multipliers are of consistency and semantic grounding; scores and the task's "
        f"share are means of the last {LAST} steps. The judge of the test questions is never wrong."
    )
    return Section(answer, [markdown_table(heads, lines, escape=False), note])


def _ends_at(record: Record) -> str:
    value = last_mean(record, "fgrpo/consistency/multiplier", 1)
    return "no value" if value is None else f"{value:.2f}"


def _judge(arm: str) -> str:
    """What is wrong with the judge, and whether the run knows."""
    its = ARMS[arm]
    if not its.judge_errors:
        return "never wrong"
    only = "" if its.errors == "both" else f", {its.errors.replace('_', ' ')} only"
    return f"{percent(its.judge_errors, 0)} % wrong{only}{', told' if arm in CORRECTED.values() else ''}"


def _numbers(record: Record) -> list[str]:
    return [
        _both(record, "threshold"),
        _both(record, "score"),
        _both(record, "multiplier", steps=1),
        _task_share(record),
        *(_sampled(record, name) for name in ("accuracy", "faithful_accuracy", "inconsistency")),
    ]


def _both(record: Record, name: str, steps: int = LAST) -> str:
    values = [last_mean(record, f"fgrpo/{key}/{name}", steps) for key in _KEYS]
    return ", ".join("not measured" if value is None else f"{value:.2f}" for value in values)


def _task_share(record: Record) -> str:
    """The task's share of the advantages at the end of training."""
    return percent(last_mean(record, "fgrpo/task/share"), 0)


def _sampled(record: Record, name: str) -> str:
    return percent(measured(record, name))


def _draw(figure: Figure, runs: Runs) -> None:
    panels = figure.subplots(1, 2)
    for colour, (arm, told) in zip(COLOURS, CORRECTED.items(), strict=False):
        for name, line in ((arm, "-"), (told, "--")):
            record = runs.one(name)
            if record is None:
                continue
            for axis, metric in zip(panels, ("fgrpo/consistency/multiplier", "fgrpo/task/share"), strict=True):
                axis.plot(*curve(record, metric), line, color=colour, linewidth=0.9, label=_judge(name))
    panels[0].set(xlabel="step", ylabel="multiplier of consistency", ylim=(0, None))
    panels[1].set(xlabel="step", ylabel="task's share of the advantages", ylim=(0, 1))
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)


QUESTION = Question(
    slug="judge_errors",
    title="What does a judge that errs cost?",
    arms=_ARMS,
    seeds=(0,),
    find=_find,
    draw=_draw,
)
