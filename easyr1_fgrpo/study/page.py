"""The page of a study, in Markdown: tables with intervals, what is missing, and how it was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from easyr1_fgrpo.evaluation.mode import Mode
from easyr1_fgrpo.evaluation.results.results import AFTER, BEFORE
from easyr1_fgrpo.miniature.worlds import WorldName
from easyr1_fgrpo.statistics import Estimate
from easyr1_fgrpo.study.arms import ARMS
from easyr1_fgrpo.study.records import Record
from easyr1_fgrpo.study.results import MEASURES, followed, minus, row
from easyr1_fgrpo.study.runs import STUDIED, Run
from easyr1_fgrpo.study.violations import IN_A_ROW, Violations, constraints, violations
from easyr1_fgrpo.tables import markdown_table

_HEADS = {
    "accuracy": "accuracy %",
    "faithful_accuracy": "faithful accuracy %",
    "inconsistency": "inconsistency rate %",
    "semantic_grounding": "semantic grounding %",
    "spatial_grounding": "spatial grounding %",
}
_REFERENCE = "grpo_t"
_REFERENCE_HELD_OUT = "grpo_t_held_out"


def page(
    records: Sequence[Record],
    missing: Sequence[Run],
    command: str,
    figures: Sequence[str],
    world: WorldName = "two_step",
) -> str:
    """The whole page.

    Args:
        records: of finished runs.
        missing: runs that were asked for and are not finished.
        command: what was typed to make it.
        figures: paths of figures, relative to the page.
        world: whose questions were asked.

    Raises:
        ValueError: when no run is finished.
    """
    if not records:
        raise ValueError("no run of the study is finished: there is nothing to write")
    arms = _by_arm([record for record in records if not ARMS[record.arm].held_out])
    held_out = _by_arm([record for record in records if ARMS[record.arm].held_out])
    parts = [
        "# The paper's finding in miniature",
        f"Written by `{command}`. {STUDIED[world]} about pictures of coloured shapes, a Qwen2.5-VL of half a million\n"
        "parameters, one warm start on noisy traces per seed, then RL with 24 prompts x 5 rollouts a step. Every\n"
        "number is measured on test questions that no training saw.",
        "Numbers are means over seeds with Student's 95 % interval; where there is one seed, the interval is that of\n"
        "its questions. A seed has a world, a backbone and a warm start of its own, which all arms share.",
        *_figures(figures),
        *(part for mode in (Mode.SAMPLED, Mode.GREEDY) for part in _arms(arms, mode)),
        *_differences(arms),
        *_held_out(held_out),
        *_intervention([*arms.values(), *held_out.values()]),
        *_violations([*arms.values(), *held_out.values()]),
        *_every_run(records),
        *_missing(missing, len(records) + len(missing)),
        "## How it was made",
        _facts(records),
        "\n".join(["```text", *(" ".join([record.arm, *record.overrides]) for record in records), "```"]),
    ]
    return "\n\n".join(parts) + "\n"


def _by_arm(records: Sequence[Record]) -> dict[str, list[Record]]:
    arms: dict[str, list[Record]] = {}
    for record in records:
        arms.setdefault(record.arm, []).append(record)
    return arms


def _figures(figures: Sequence[str]) -> list[str]:
    shown = [f"![{Path(figure).stem.replace('_', ' ')}]({figure})" for figure in figures]
    return ["The paper's own arms:", *shown] if shown else []


def _arms(arms: Mapping[str, list[Record]], mode: Mode) -> list[str]:
    if not arms:
        return []
    # Before RL, all arms of a seed are one checkpoint, but for the rounding of its machine: the first arm's is shown.
    seeds = {record.seed: record for together in reversed(list(arms.values())) for record in together}
    lines = [_line("warm start", "", row(list(seeds.values()), mode, BEFORE))]
    lines += [_line(f"`{name}`", _steps(together), row(together, mode)) for name, together in arms.items()]
    return [f"## Arms, {mode}", _table(["arm", "steps", *_HEADS.values(), "seeds"], lines), *_legend(arms, mode)]


def _legend(arms: Mapping[str, list[Record]], mode: Mode) -> list[str]:
    if mode is not Mode.SAMPLED:
        return []
    return ["\n".join(f"- `{name}`: {ARMS[name].about}." for name in arms)]


def _differences(arms: Mapping[str, list[Record]]) -> list[str]:
    reference = arms.get(_REFERENCE, [])
    others = {name: together for name, together in arms.items() if name != _REFERENCE}
    if not reference or not others:
        return []
    lines = [
        _line(f"`{name}`", mode, minus(together, reference, mode))
        for mode in (Mode.SAMPLED, Mode.GREEDY)
        for name, together in others.items()
    ]
    heads = [head.replace(" %", ", points") for head in _HEADS.values()]
    return [f"## Minus `{_REFERENCE}` of the same seed", _table(["arm", "responses", *heads, "seeds"], lines)]


def _held_out(arms: Mapping[str, list[Record]]) -> list[str]:
    """Each seed on lines of its own, for each leaves another type out; the difference is over seeds."""
    records = sorted((record for together in arms.values() for record in together), key=lambda record: record.seed)
    if not records:
        return []
    seeds = {record.seed: record for record in records}
    reference = arms.get(_REFERENCE_HELD_OUT, [])
    others = {name: together for name, together in arms.items() if reference and name != _REFERENCE_HELD_OUT}
    lines = []
    for mode in (Mode.SAMPLED, Mode.GREEDY):
        lines += [
            _line(f"warm start, seed {seed}", mode, row([record], mode, BEFORE, held_out=True))
            for seed, record in seeds.items()
        ]
        lines += [
            _line(f"`{record.arm}`, seed {record.seed}", mode, row([record], mode, held_out=True)) for record in records
        ]
        lines += [
            _line(f"`{name}` minus `{_REFERENCE_HELD_OUT}`", mode, minus(together, reference, mode, held_out=True))
            for name, together in others.items()
        ]
    left_out = "; ".join(f"seed {seed}: {record.held_out}" for seed, record in seeds.items())
    return [
        "## A question type that RL never saw",
        f"Only the test questions of the type that was left out ({left_out}); the warm start had seen all types.",
        _table(["arm", "responses", *_HEADS.values(), "seeds"], lines),
    ]


def _intervention(arms: Sequence[list[Record]]) -> list[str]:
    seeds = {record.seed: record for together in arms for record in together}
    lines = [["warm start", _value(found := followed(list(seeds.values()), BEFORE)), str(found.n)]]
    for together in arms:
        found = followed(together)
        lines.append([f"`{together[0].arm}`", _value(found), str(found.n)])
    return [
        "## Does the answer follow the trace?",
        "A true trace is forced upon the model with its last relation and its conclusion flipped; the model answers "
        "greedily. 100 % reads its own reasoning, less answers past it.",
        _table(["arm", "answer follows %", "seeds"], lines),
    ]


def _violations(arms: Sequence[list[Record]]) -> list[str]:
    lines = [
        [
            f"`{together[0].arm}`",
            constraint.replace("_", " "),
            *_kept([violations(each, constraint) for each in together]),
        ]
        for together in arms
        for constraint in constraints(together[0])
    ]
    if not lines:
        return []
    heads = ["arm", "constraint", "feasible from step", "sum of violations", "highest multiplier", "last", "seeds"]
    return [
        "## How the constraints were kept",
        f"Feasible: the first of {IN_A_ROW} measured steps in a row at or above the threshold. Violations are summed "
        "over the measured steps; means over seeds.",
        _table(heads, lines),
    ]


def _kept(runs: Sequence[Violations]) -> list[str]:
    return [
        _mean_or([run.feasible_from for run in runs], ".0f", "never in"),
        _mean_or([run.area for run in runs], ".2f", "unmeasured in"),
        *(f"{fmean(values):.2f}" for values in zip(*((run.highest, run.last) for run in runs), strict=True)),
        str(len(runs)),
    ]


def _mean_or(values: Sequence[float | None], digits: str, without: str) -> str:
    """The mean of the runs that have a value, and how many have none."""
    known = [value for value in values if value is not None]
    parts = [f"{fmean(known):{digits}}"] if known else []
    parts += [f"{without} {len(values) - len(known)}"] if len(known) < len(values) else []
    return ", ".join(parts)


def _every_run(records: Sequence[Record]) -> list[str]:
    """One line a run: means over different seeds do not compare."""
    columns = [(name, mode) for name in MEASURES[:3] for mode in (Mode.SAMPLED, Mode.GREEDY)]
    lines = []
    for record in records:
        values = [row([record], mode)[name] for name, mode in columns]
        forced = record.followed[AFTER]
        alone = [_value(value.model_copy(update={"low": None, "high": None})) for value in values]
        lines.append([f"`{record.arm}`", str(record.seed), *alone, f"{forced.followed} of {forced.questions}"])
    heads = ["arm", "seed", *(f"{_HEADS[name]}, {mode}" for name, mode in columns), "answer follows"]
    return ["## Every run", "Over all test questions, also where a type was left out of RL.", _table(heads, lines)]


def _missing(runs: Sequence[Run], total: int) -> list[str]:
    if not runs:
        return []
    lines = "\n".join(f"- `{run.arm.name}`, seed {run.seed}: not finished" for run in runs)
    return [f"## Missing\n\n{len(runs)} of {total} runs are in no table:", lines]


def _facts(records: Sequence[Record]) -> str:
    hours = sum(record.seconds for record in records) / 3600
    machines = sorted({record.machine for record in records})
    return "\n".join(
        [
            f"- {len(records)} runs; their RL steps took {hours:.1f} hours, without start-up, evaluation and stages",
            f"- commit {', '.join(sorted({record.commit for record in records}))}",
            *(f"- {machine}" for machine in machines),
            *(
                ["- processors round differently, so runs of one seed made on several start from unequal warm starts"]
                if len(machines) > 1
                else []
            ),
            "- the numbers of each run, and its curves: the JSON files beside the figures",
        ]
    )


def _steps(records: Sequence[Record]) -> str:
    return " and ".join(str(steps) for steps in sorted({record.steps for record in records}))


def _line(name: str, second: str, values: Mapping[str, Estimate]) -> list[str]:
    return [name, second, *(_value(values[measure]) for measure in MEASURES), _seeds(values)]


def _seeds(values: Mapping[str, Estimate]) -> str:
    return " to ".join(str(n) for n in sorted({values[measure].n for measure in MEASURES}))


def _value(estimate: Estimate) -> str:
    if estimate.value is None:
        return "not measured"
    value = f"{100 * estimate.value:.1f}"
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} ({100 * estimate.low:.1f} to {100 * estimate.high:.1f})"


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return markdown_table(heads, lines, escape=False)
