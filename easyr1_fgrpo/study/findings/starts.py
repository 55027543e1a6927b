"""Multipliers that start wrong: which update rule brings them home."""

from __future__ import annotations

from typing import TYPE_CHECKING

from easyr1_fgrpo.report.figures.style import looks
from easyr1_fgrpo.study.arms import CONTROLLERS, HOMECOMING, STARTS
from easyr1_fgrpo.study.findings.numbers import Runs, curve, last_score, listed, measured, percent
from easyr1_fgrpo.study.findings.question import Question, Section
from easyr1_fgrpo.study.records import Record
from easyr1_fgrpo.study.violations import violations
from easyr1_fgrpo.tables import markdown_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIGNAL = "consistency"
WANTED = 50
"""Steps after which a multiplier should be home."""
HOME = (0.5, 2.0)
"""Where consistency's multiplier is at home: within a factor of two of 1, FGRPO's start."""


def _arm(start: str, rule: str) -> str:
    return f"home_{start}_{rule}"


def _home_from(record: Record) -> int | None:
    """The first step from which the multiplier stays in `HOME` to the end; None when it does not."""
    home_from = None
    for step, value in zip(*curve(record, f"fgrpo/{SIGNAL}/multiplier"), strict=True):
        home_from = (home_from or step) if HOME[0] <= value <= HOME[1] else None
    return home_from


def _in_time(runs: Runs, start: str, rule: str) -> bool:
    record = runs.one(_arm(start, rule))
    return record is not None and (_home_from(record) or HOMECOMING) <= WANTED


def _find(runs: Runs) -> Section | None:
    rules = [rule for rule in CONTROLLERS if all(runs.one(_arm(start, rule)) for start in STARTS)]
    if len(rules) < 2:
        return None  # nothing to compare
    brought = " and ".join(
        f"from {start} by {listed(CONTROLLERS[rule][0] for rule in rules if _in_time(runs, start, rule))}"
        for start in STARTS
    )
    answer = (
        f"Consistency's multiplier comes between {HOME[0]:g} and {HOME[1]:g} within {WANTED} steps, and stays there, "
        f"{brought} (of {len(rules)} rules, seed 0)."
    )
    heads = [
        *("start", "rule", "home from step", "highest multiplier", "last", "sum of violations"),
        *("consistency at the end %", "accuracy %", "faithful accuracy %"),
    ]
    lines = [
        [start, CONTROLLERS[rule][0], *_numbers(record)]
        for start in STARTS
        for rule in CONTROLLERS
        if (record := runs.one(_arm(start, rule)))
    ]
    note = (
        f"{HOMECOMING} steps; all three multipliers start at the value. A constraint that asks for 0.95 is exceeded by "
        "0.05 at most, so a step of dual ascent lowers its multiplier by 0.05 times the rate at most."
    )
    return Section(answer, [markdown_table(heads, lines, escape=False), note])


def _numbers(record: Record) -> list[str]:
    kept, home_from = violations(record, SIGNAL), _home_from(record)
    area = "not measured" if kept.area is None else f"{kept.area:.2f}"
    return [
        *("never" if home_from is None else str(home_from), f"{kept.highest:.2f}", f"{kept.last:.2f}", area),
        percent(last_score(record, SIGNAL)),
        *(percent(measured(record, name)) for name in ("accuracy", "faithful_accuracy")),
    ]


def _draw(figure: Figure, runs: Runs) -> None:
    panels = figure.subplots(1, len(STARTS))
    for axis, start in zip(panels, STARTS, strict=True):
        axis.axhspan(*HOME, color="#EEEEEE")
        for rule, look in looks(list(CONTROLLERS)).items():
            record = runs.one(_arm(start, rule))
            if record is not None:
                axis.plot(*curve(record, f"fgrpo/{SIGNAL}/multiplier"), color=look.colour, label=CONTROLLERS[rule][0])
        axis.set(title=f"from {start}", xlabel="step", ylabel="multiplier of consistency", ylim=(0, None))
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)


QUESTION = Question(
    slug="starts",
    title="What if multipliers start wrong?",
    arms=tuple(_arm(start, rule) for start in STARTS for rule in CONTROLLERS),
    seeds=(0,),
    find=_find,
    draw=_draw,
)
