"""More steps, and questions that RL never saw."""

from __future__ import annotations

from typing import TYPE_CHECKING

from easyr1_fgrpo.evaluation.mode import Mode
from easyr1_fgrpo.evaluation.results.results import AFTER, BEFORE
from easyr1_fgrpo.report.figures.style import looks
from easyr1_fgrpo.study.arms import LONG
from easyr1_fgrpo.study.findings.numbers import Runs, measured, mostly_faithful, percent
from easyr1_fgrpo.study.findings.question import Question, Section
from easyr1_fgrpo.study.records import Record
from easyr1_fgrpo.tables import markdown_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LENGTHS = {"grpo_t": ("grpo_t", "grpo_t_long"), "fgrpo": ("fgrpo", "fgrpo_long")}
_MEASURES = {"accuracy": "accuracy %", "faithful_accuracy": "faithful accuracy %", "inconsistency": "inconsistent %"}


def _find(runs: Runs) -> Section | None:
    plain, ours = runs.one("grpo_t_long"), runs.one("fgrpo_long")
    if plain is None or ours is None:
        return None
    answer = (
        f"{_verdict(plain)}: after {LONG} steps plain GRPO is right in {percent(measured(plain, 'accuracy'))} % and "
        f"for reasons that hold in {percent(measured(plain, 'faithful_accuracy'))} %, FGRPO in "
        f"{percent(measured(ours, 'accuracy'))} and {percent(measured(ours, 'faithful_accuracy'))} % (seed 0, sampled)."
    )
    heads = ["arm", "steps", *_MEASURES.values()]
    lines = [
        [f"`{record.arm}`", str(record.steps), *(percent(measured(record, name)) for name in _MEASURES)]
        for arms in _LENGTHS.values()
        for arm in arms
        if (record := runs.one(arm))
    ]
    return Section(answer, [markdown_table(heads, lines, escape=False), *_unseen(runs)])


def _verdict(plain: Record) -> str:
    return "Yes" if mostly_faithful(measured(plain, "accuracy"), measured(plain, "faithful_accuracy")) else "No"


def _unseen(runs: Runs) -> list[str]:
    """The question types that were left out of RL, each seed another one."""
    arms = ("grpo_t_held_out", "fgrpo_held_out")
    lines = []
    for seed in sorted({record.seed for record in runs.all(arms)}):
        found = [record for arm in arms if (record := runs.one(arm, seed))]
        lines.append([found[0].held_out, "warm start", *_held_out(found[0], BEFORE)])
        lines += [[record.held_out, f"`{record.arm}`", *_held_out(record, AFTER)] for record in found]
    if not lines:
        return []
    heads = ["type that RL never saw", "arm", *_MEASURES.values()]
    return [
        "On a question type that RL never saw (its test questions only, greedy):",
        markdown_table(heads, lines, escape=False),
    ]


def _held_out(record: Record, when: str) -> list[str]:
    found = record.measured_held_out
    if found is None:
        raise ValueError(f"{record.arm}, seed {record.seed}: nothing measured over the type that RL did not see")
    values = found[when][Mode.GREEDY]
    return [percent(values[name].value if name in values else None) for name in _MEASURES]


def _draw(figure: Figure, runs: Runs) -> None:
    axis = figure.subplots()
    for arm, look in looks(list(_LENGTHS)).items():
        found = [record for name in _LENGTHS[arm] if (record := runs.one(name))]
        steps = [record.steps for record in found]
        for name, line in (("accuracy", "-"), ("faithful_accuracy", "--")):
            values = [100 * measured(record, name) for record in found]
            label = f"{arm}, {name.replace('_', ' ')}"
            axis.plot(steps, values, line, color=look.colour, marker=look.marker, label=label)
    axis.set(xlabel="steps", ylabel="% (sampled)", ylim=(0, 105))
    figure.legend(loc="outside right center")


QUESTION = Question(
    slug="longer",
    title="Does more training repair plain GRPO?",
    arms=("grpo_t", "grpo_t_long", "fgrpo", "fgrpo_long", "grpo_t_held_out", "fgrpo_held_out"),
    seeds=(0,),
    find=_find,
    draw=_draw,
)
