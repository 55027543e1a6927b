"""What faithfulness costs in accuracy: FGRPO, plain GRPO and the sum of the paper, paired by seed."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from easyr1_fgrpo.evaluation.mode import Mode
from easyr1_fgrpo.report.figures.style import COLOURS
from easyr1_fgrpo.statistics import Estimate
from easyr1_fgrpo.study.findings.numbers import Runs, decided, measured, over_seeds, seeds_named, with_interval
from easyr1_fgrpo.study.findings.question import CONSTRAINTS, SUM, Advice, Question, Section
from easyr1_fgrpo.tables import markdown_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ARMS = ("fgrpo", "additive", "grpo_t")
SEEDS = tuple(range(8))
_MEASURES = {"accuracy": "accuracy", "faithful_accuracy": "faithful accuracy"}


def _difference(runs: Runs, arm: str, other: str, measure: str, mode: Mode) -> Estimate:
    return over_seeds(measured(a, measure, mode) - measured(b, measure, mode) for a, b in runs.pairs(arm, other))


def _find(runs: Runs) -> Section | None:
    if not runs.pairs("fgrpo", "grpo_t"):
        return None
    seeds = [record.seed for record, _ in runs.pairs("fgrpo", "grpo_t")]
    greedy, sampled = (_difference(runs, "fgrpo", "grpo_t", "accuracy", mode) for mode in (Mode.GREEDY, Mode.SAMPLED))
    answer = (
        f"{_verdict(greedy, sampled)}: FGRPO minus plain GRPO is {with_interval(greedy, signed=True)} points of "
        f"accuracy greedily and {with_interval(sampled, signed=True)} sampled ({seeds_named(seeds)}). A difference is "
        "taken within a seed, which has a world, a backbone, a warm start and 1,024 test questions of its own, so that "
        "Student's interval over seeds holds the chance of questions and of training both."
    )
    heads = ["minus", "responses", *(f"{name}, points" for name in _MEASURES.values()), "seeds"]
    lines = []
    for arm, other in combinations(ARMS, 2):
        if not (pairs := runs.pairs(arm, other)):
            continue
        for mode in (Mode.GREEDY, Mode.SAMPLED):
            found = [with_interval(_difference(runs, arm, other, name, mode), signed=True) for name in _MEASURES]
            lines.append([f"`{arm}` - `{other}`", str(mode), *found, str(len(pairs))])
    return Section(answer, [markdown_table(heads, lines, escape=False)])


def _verdict(greedy: Estimate, sampled: Estimate) -> str:
    signs = {
        mode: found.value > 0.0
        for mode, found in ((Mode.GREEDY, greedy), (Mode.SAMPLED, sampled))
        if decided(found) and found.value is not None
    }
    if not signs:
        return "Not more than these runs can see"
    if set(signs.values()) == {True, False}:
        return "It depends on how answers are drawn"
    only = "" if len(signs) == len(Mode) else f", {next(iter(signs))} ones at least"
    return f"Nothing; right answers become more{only}" if True in signs.values() else f"Some right answers{only}"


def _advise(runs: Runs) -> list[Advice]:
    pairs = runs.pairs("fgrpo", "additive")
    if len(pairs) < 2:
        return []
    found = _difference(runs, "fgrpo", "additive", "faithful_accuracy", Mode.SAMPLED)
    evidence = (
        f"faithful accuracy of `fgrpo` minus `additive`: {with_interval(found, signed=True)} points, {len(pairs)} seeds"
    )
    better = CONSTRAINTS if (found.value or 0.0) > 0.0 else SUM
    use = better if decided(found) else f"{CONSTRAINTS} or {SUM}, not told apart"
    return [Advice(use, "answers shall be faithful, at no level named", evidence)]


def _draw(figure: Figure, runs: Runs) -> None:
    pairs = [pair for pair in combinations(ARMS, 2) if runs.pairs(*pair)]
    panels = figure.subplots(1, 2, sharey=True)
    for axis, measure in zip(panels, _MEASURES, strict=True):
        axis.axvline(0, color="#BBBBBB", linewidth=0.8)
        for place, (arm, other) in enumerate(pairs):
            for shift, mode, colour in ((-0.12, Mode.GREEDY, COLOURS[0]), (0.12, Mode.SAMPLED, COLOURS[1])):
                found = _difference(runs, arm, other, measure, mode)
                seeds = [
                    100 * (measured(a, measure, mode) - measured(b, measure, mode)) for a, b in runs.pairs(arm, other)
                ]
                axis.plot(seeds, [place + shift] * len(seeds), linestyle="", marker="o", color=colour, alpha=0.35)
                if found.value is not None and found.low is not None and found.high is not None:
                    reach = [[100 * (found.value - found.low)], [100 * (found.high - found.value)]]
                    label = str(mode) if place == 0 else None
                    axis.errorbar(
                        100 * found.value, place + shift, xerr=reach, color=colour, marker="D", capsize=3, label=label
                    )
        axis.set(xlabel=f"{_MEASURES[measure]}, points", yticks=range(len(pairs)))
        axis.set_yticklabels([f"{arm} - {other}" for arm, other in pairs])
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)


QUESTION = Question(
    slug="accuracy",
    title="What does faithfulness cost in accuracy?",
    arms=ARMS,
    seeds=SEEDS,
    find=_find,
    draw=_draw,
    advise=_advise,
)
