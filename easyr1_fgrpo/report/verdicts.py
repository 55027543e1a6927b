"""One line a run: whether it got better and for reasons that hold, which constraints are met, and what went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from easyr1_fgrpo.report.alarms import alarms
from easyr1_fgrpo.report.constraints import ConstraintRow, constraint_rows
from easyr1_fgrpo.report.evaluations import before_of, changes, sampled_first
from easyr1_fgrpo.report.run_files import Run
from easyr1_fgrpo.report.subjects import run_names, subjects
from easyr1_fgrpo.statistics import Estimate

GOOD, OPEN, BAD = "good", "open", "bad"
"""How a run stands: as wished; unfinished, unmeasured or short of what was asked; with an alarm."""

UP, SAME, DOWN = "more", "as many", "fewer"
UNKNOWN = "–"


@dataclass(frozen=True)
class Verdict:
    """A run's line, and a red one for each alarm."""

    run: str
    number: int
    state: str
    text: str
    alarms: tuple[str, ...]


def verdicts(runs: Sequence[Run]) -> list[Verdict]:
    """One for each run that was trained; the folder of an `fgrpo evaluate` has none."""
    numbers, rows = subjects(runs), constraint_rows(runs)
    found = []
    for name, run in zip(run_names(runs), runs, strict=True):
        if not run.config and not run.metrics:
            continue
        change, better = _change(run)
        kept, all_met = _constraints([row for row in rows if row.run == name and row.met is not None])
        red = tuple(map(str, alarms(run)))
        state = BAD if red else GOOD if run.finished and better and all_met else OPEN
        text = "; ".join(part for part in (_progress(run), change, kept) if part)
        found.append(Verdict(name, numbers[name], state, f"{text}.", red))
    return found


def _progress(run: Run) -> str:
    if run.last_step is None:
        return "no step yet"
    if run.finished:
        return f"finished, {run.last_step} steps"
    return f"step {run.last_step} of {run.total_steps}" if run.total_steps else f"step {run.last_step}"


def _change(run: Run) -> tuple[str, bool]:
    """What RL changed, in words and numbers, and whether it is for the better."""
    after = next(iter(sampled_first(run)), None)
    before = before_of(run, after) if after else None
    if after is None or before is None:
        return "not evaluated before and after RL", False
    differences = changes(run, after)
    right, faithful = (_direction(differences.get(metric)) for metric in ("accuracy", "faithful_accuracy"))
    words = f"{right} right answers" if right else "answers that cannot be compared"
    if faithful:
        words += f", {faithful} for reasons that hold"
    numbers = [
        _before_after(name, before.metrics.get(metric), after.metrics.get(metric))
        for metric, name in (("accuracy", "accuracy"), ("faithful_accuracy", "faithful accuracy"))
    ]
    return f"{words}: {', '.join(numbers)} ({after.mode})", faithful == UP and right != DOWN


def _before_after(name: str, before: Estimate | None, after: Estimate | None) -> str:
    shown = [_percent(before), _percent(after)]
    return f"{name} not measured" if set(shown) == {UNKNOWN} else f"{name} {' → '.join(shown)} %"


def _direction(change: Estimate | None) -> str:
    """Which way a paired difference goes as far as its interval says; "" where there is none."""
    if change is None or change.value is None:
        return ""
    low, high = (change.value if end is None else end for end in (change.low, change.high))
    return UP if low > 0 else DOWN if high < 0 else SAME


def _percent(estimate: Estimate | None) -> str:
    return UNKNOWN if estimate is None or estimate.value is None else f"{100 * estimate.value:.1f}"


def _constraints(rows: Sequence[ConstraintRow]) -> tuple[str, bool]:
    """How many constraints are met and which are not, and whether all are; nothing where none acts."""
    if not rows:
        return "no constraint acts", True
    missed = [
        f"{row.name.replace('_', ' ')} {row.true_rate.text} where {row.asked.text} is asked"
        for row in rows
        if not row.met
    ]
    met = f"{len(rows) - len(missed)} of {len(rows)} constraints met"
    return f"{met} ({', '.join(missed)})" if missed else met, not missed
