"""Steps of a run at which something was wrong that no score shows: a judge was down, or nothing could be learnt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from easyr1_fgrpo.report.run_files import Run
from easyr1_fgrpo.report.series import constraint_names, constraint_series, judge_questions, judge_series

LEAST = 0.5
"""Share of the verdicts below which a judge counts as down, where the config names none."""

IN_A_ROW = 3
"""Steps without any variance that are an alarm: a single one of a small batch comes by chance."""

STUCK = 10
"""Steps in a row from which on a constraint counts as stuck; training warns then."""

SHOWN = 5
"""Stretches of steps that are named, at most."""


@dataclass(frozen=True)
class Alarm:
    """What was wrong, at which steps; `constraint` is the one concerned, "" for all."""

    what: str
    constraint: str
    steps: tuple[int, ...]
    n_steps: int

    def __str__(self) -> str:
        """In a line."""
        named = [f"{a}" if a == b else f"{a}–{b}" for a, b in stretches(self.steps)]
        more = ", …" if len(named) > SHOWN else ""
        return f"{self.what} at {len(self.steps)} of {self.n_steps} steps ({', '.join(named[:SHOWN])}{more})"


def alarms(run: Run) -> list[Alarm]:
    """All alarms of a run."""
    found = [*_unmeasured(run)] or [*_judges_down(run)]
    return [*found, *_held(run), *_sudden(run), *_stood_still(run), *_no_variance(run)]


def stretches(steps: Sequence[int]) -> list[tuple[int, int]]:
    """First and last step of each row of steps."""
    found: list[tuple[int, int]] = []
    for step in steps:
        if found and found[-1][1] == step - 1:
            found[-1] = (found[-1][0], step)
        else:
            found.append((step, step))
    return found


def _unmeasured(run: Run) -> Iterator[Alarm]:
    """Constraints whose judge measured too few rollouts, so that their multiplier was held."""
    least = run.config.get("fgrpo.dual.min_valid_share", LEAST)
    least = float(least) if isinstance(least, int | float) else LEAST
    for name in constraint_names([run]):
        series = constraint_series(run, name).get("valid_share")
        if series:
            what = f"{_plain(name)}: its judge measured less than {least:.0%} of the rollouts, the multiplier was held"
            yield from _alarm(what, name, series.steps, series.values, lambda share: share < least)


def _judges_down(run: Run) -> Iterator[Alarm]:
    """Judges without verdicts, where no constraint depends on them."""
    for question in judge_questions([run]):
        series = judge_series(run, question).get("valid_share")
        if series:
            what = f"the judge of {question} gave less than {LEAST:.0%} of its verdicts"
            yield from _alarm(what, "", series.steps, series.values, lambda share: share < LEAST)


def _held(run: Run) -> Iterator[Alarm]:
    """Multipliers that were held although their judge answered: too few rollouts that the constraint applies to."""
    if run.config.get("fgrpo.dual.controller") == "fixed":
        return
    down = {(alarm.constraint, step) for alarm in _unmeasured(run) for step in alarm.steps}
    for name in constraint_names([run]):
        if updated := run.metrics.get(f"fgrpo/{name}/updated"):
            answered = {s: v for s, v in zip(updated.steps, updated.values, strict=True) if (name, s) not in down}
            what = f"{_plain(name)}: too few rollouts that it applies to, the multiplier was held"
            yield from _alarm(what, name, list(answered), list(answered.values()), lambda value: value == 0.0)


def _sudden(run: Run) -> Iterator[Alarm]:
    """Steps at which a constraint's signal changed as no policy does."""
    for name in constraint_names([run]):
        if sudden := run.metrics.get(f"fgrpo/{name}/sudden"):
            what = f"{_plain(name)}: changed as no policy does, so perhaps its judge did,"
            yield from _alarm(what, name, sudden.steps, sudden.values, lambda value: value == 1.0)


def _stood_still(run: Run) -> Iterator[Alarm]:
    """Steps at which a violated constraint had long had nothing that its multiplier could weigh."""
    for name in constraint_names([run]):
        if still := run.metrics.get(f"fgrpo/{name}/standstill"):
            what = (
                f"{_plain(name)}: violated, and no group's rollouts differed in it, so its multiplier weighed nothing,"
            )
            yield from _alarm(what, name, still.steps, still.values, lambda value: value >= STUCK)


def _no_variance(run: Run) -> Iterator[Alarm]:
    """Steps in a row at which every signal was constant in every group: no gradient."""
    shares: dict[int, list[float]] = {}
    for key, series in run.metrics.items():
        if key.startswith("fgrpo/") and key.endswith("/zero_variance_groups"):
            for step, value in zip(series.steps, series.values, strict=True):
                shares.setdefault(step, []).append(value)
    constant = [step for step in sorted(shares) if min(shares[step]) == 1.0]
    rows = [(first, last) for first, last in stretches(constant) if last - first + 1 >= IN_A_ROW]
    if rows:
        at = tuple(step for first, last in rows for step in range(first, last + 1))
        yield Alarm("nothing had variance in any group, so nothing was learnt", "", at, len(shares))


def _alarm(
    what: str, constraint: str, steps: Sequence[int], values: Sequence[float], wrong: Callable[[float], bool]
) -> Iterator[Alarm]:
    at = tuple(step for step, value in zip(steps, values, strict=True) if wrong(value))
    if at:
        yield Alarm(what, constraint, at, len(steps))


def _plain(name: str) -> str:
    return name.replace("_", " ")
