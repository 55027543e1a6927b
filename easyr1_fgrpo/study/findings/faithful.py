"""Does reasoning stay faithful: the paper's arms, and what each keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from easyr1_fgrpo.evaluation.mode import Mode
from easyr1_fgrpo.report.figures.style import looks
from easyr1_fgrpo.study.arms import ARMS, MAIN, SEEDS
from easyr1_fgrpo.study.findings.numbers import (
    Runs,
    measured,
    measured_mean,
    mostly_faithful,
    over_seeds,
    percent,
    seeds_named,
    with_interval,
)
from easyr1_fgrpo.study.findings.question import Question, Section
from easyr1_fgrpo.study.records import Record
from easyr1_fgrpo.study.results import followed
from easyr1_fgrpo.tables import markdown_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PLAIN, _OURS, _FIXED = "grpo_t", "fgrpo", "fixed_multipliers"
_MEASURES = {"accuracy": "accuracy %", "faithful_accuracy": "faithful accuracy %", "inconsistency": "inconsistent %"}


_VERDICTS = {
    (False, True): "No, and FGRPO's does",
    (False, False): "No, and neither does FGRPO's",
    (True, True): "Yes, and so does FGRPO's",
    (True, False): "Yes, but FGRPO's does not",
}
"""By whether plain GRPO's right answers are mostly faithful, and FGRPO's."""


def _find(runs: Runs) -> Section | None:
    pairs = [pair for pair in runs.pairs(_PLAIN, _OURS) if pair[0].seed in SEEDS]
    if not pairs:
        return None
    plain, ours = zip(*pairs, strict=True)
    inconsistent, faithful = (
        [percent(measured_mean(records, measure)) for records in (plain, ours)]
        for measure in ("inconsistency", "faithful_accuracy")
    )
    answer = (
        f"{_VERDICTS[_keeps_faith(plain), _keeps_faith(ours)]}: after plain GRPO (`{_PLAIN}`) {inconsistent[0]} % of "
        f"the sampled answers contradict their trace and {faithful[0]} % are right for reasons that hold, after FGRPO "
        f"{inconsistent[1]} % and {faithful[1]} % (means, {seeds_named([record.seed for record in plain])})."
    )
    heads = ["arm", *_MEASURES.values(), "answer follows a flipped trace %", "seeds"]
    lines = [
        [
            f"`{arm}`",
            *(percent(measured_mean(found, name)) for name in _MEASURES),
            percent(followed(found).value),
            str(len(found)),
        ]
        for arm in MAIN
        if (found := runs.of(arm, SEEDS))
    ]
    parts = [markdown_table(heads, lines, escape=False), *_adaptive(runs)]
    return Section(answer, parts)


def _adaptive(runs: Runs) -> list[str]:
    """Multipliers that move against multipliers that stay, in accuracy."""
    pairs = [pair for pair in runs.pairs(_OURS, _FIXED) if pair[0].seed in SEEDS]
    if not pairs:
        return []
    by_mode = {
        mode: over_seeds(measured(a, "accuracy", mode) - measured(b, "accuracy", mode) for a, b in pairs)
        for mode in Mode
    }
    gains = " and ".join(f"{with_interval(found, signed=True)} {mode}" for mode, found in by_mode.items())
    return [f"Multipliers that move instead of staying at 1: {gains}, points of accuracy."]


def _keeps_faith(records: Sequence[Record]) -> bool:
    return mostly_faithful(measured_mean(records, "accuracy"), measured_mean(records, "faithful_accuracy"))


def _draw(figure: Figure, runs: Runs) -> None:
    axis = figure.subplots()
    arms = [arm for arm in MAIN if runs.of(arm, SEEDS)]
    for arm, look in looks(arms).items():
        found = runs.of(arm, SEEDS)
        axis.plot(
            [100 * measured(record, "accuracy") for record in found],
            [100 * measured(record, "faithful_accuracy") for record in found],
            linestyle="", marker=look.marker, color=look.colour, label=arm,
        )  # fmt: skip
    axis.axline((50, 50), slope=1, color="#BBBBBB", linewidth=0.8)
    axis.set(xlabel="right, % (sampled)", ylabel="right for reasons that hold, %", xlim=(50, 100), ylim=(0, 100))
    figure.legend(loc="outside right center")


QUESTION = Question(
    slug="faithful",
    title="Does reasoning stay faithful under plain GRPO?",
    arms=tuple(arm for arm in MAIN if arm in ARMS),
    seeds=SEEDS,
    find=_find,
    draw=_draw,
)
