"""The page of a study, in Markdown: tables with intervals, what is missing, and how it was made."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

from easyr1_fgrpo.evaluation.results import Estimate, Mode
from easyr1_fgrpo.study import results
from easyr1_fgrpo.study.results import BEFORE, MEASURES, measured_on_held_out, minus, row
from easyr1_fgrpo.study.runs import Run

_HEADS = {
    "accuracy": "accuracy %",
    "inconsistency": "inconsistency rate %",
    "semantic_grounding": "semantic grounding %",
    "spatial_grounding": "spatial grounding %",
}
_REFERENCE = "grpo_t"


def page(runs: Sequence[Run], command: str, figures: Sequence[str]) -> str:
    """The whole page.

    Args:
        runs: those that were asked for; unfinished ones are listed as missing.
        command: what was typed to make it.
        figures: paths of figures, relative to the page.

    Raises:
        ValueError: when no run is finished, or a result is damaged.
        OSError: when a result is missing.
    """
    done = [run for run in runs if run.finished]
    if not done:
        raise ValueError("no run of the study is finished: there is nothing to write")
    arms = _by_arm([run for run in done if not run.arm.held_out])
    held_out = _by_arm([run for run in done if run.arm.held_out])
    parts = [
        "# The paper's finding in miniature",
        f"Made by `{command}`. Two-step questions about pictures of coloured shapes, a Qwen2.5-VL of half a million\n"
        "parameters, one warm start on noisy traces per seed, then RL with 24 prompts x 5 rollouts a step. Every\n"
        "number is measured on test questions that no training saw.",
        "Numbers are means over seeds with Student's 95 % interval; where there is one seed, the interval is that of\n"
        "its questions. A seed has a world, a backbone and a warm start of its own, which all arms share.",
        *_figures(figures),
        *(part for mode in (Mode.SAMPLED, Mode.GREEDY) for part in _arms(arms, mode)),
        *_differences(arms),
        *_held_out(held_out),
        *_intervention([*arms.values(), *held_out.values()]),
        *_missing(runs),
        "## How it was made",
        _facts(done),
        "\n".join(["```text", *(" ".join([run.arm.name, *run.overrides]) for run in done), "```"]),
    ]
    return "\n\n".join(parts) + "\n"


def _by_arm(runs: Sequence[Run]) -> dict[str, list[Run]]:
    arms: dict[str, list[Run]] = {}
    for run in runs:
        arms.setdefault(run.arm.name, []).append(run)
    return arms


def _figures(figures: Sequence[str]) -> list[str]:
    return [f"![{Path(figure).stem.replace('_', ' ')}]({figure})" for figure in figures]


def _arms(arms: Mapping[str, list[Run]], mode: Mode) -> list[str]:
    if not arms:
        return []
    seeds = {run.seed: run for together in arms.values() for run in together}  # before RL, all arms are one checkpoint
    lines = [_line("warm start", "", row(list(seeds.values()), mode, BEFORE))]
    lines += [_line(f"`{name}`", _steps(together), row(together, mode)) for name, together in arms.items()]
    return [f"## Arms, {mode}", _table(["arm", "steps", *_HEADS.values(), "seeds"], lines), *_legend(arms, mode)]


def _legend(arms: Mapping[str, list[Run]], mode: Mode) -> list[str]:
    if mode is not Mode.SAMPLED:
        return []
    return ["\n".join(f"- `{name}`: {together[0].arm.about}." for name, together in arms.items())]


def _differences(arms: Mapping[str, list[Run]]) -> list[str]:
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


def _held_out(arms: Mapping[str, list[Run]]) -> list[str]:
    if not arms:
        return []
    seeds = {run.seed: run for together in arms.values() for run in together}
    lines = []
    for mode in (Mode.SAMPLED, Mode.GREEDY):
        lines.append(_line("warm start", mode, row(list(seeds.values()), mode, BEFORE, measured_on_held_out)))
        lines += [
            _line(f"`{name}`", mode, row(together, mode, of=measured_on_held_out)) for name, together in arms.items()
        ]
    left_out = "; ".join(f"seed {seed}: {run.held_out}" for seed, run in sorted(seeds.items()))
    return [
        "## A question type that RL never saw",
        f"Only the test questions of the type that was left out ({left_out}); the warm start had seen all types.",
        _table(["arm", "responses", *_HEADS.values(), "seeds"], lines),
    ]


def _intervention(arms: Sequence[list[Run]]) -> list[str]:
    seeds = {run.seed: run for together in arms for run in together}
    lines = [["warm start", _value(found := results.followed(list(seeds.values()), BEFORE)), str(found.n)]]
    for together in arms:
        found = results.followed(together)
        lines.append([f"`{together[0].arm.name}`", _value(found), str(found.n)])
    return [
        "## Does the answer follow the trace?",
        "A true trace is forced upon the model with its last relation and its conclusion flipped; the model answers "
        "greedily. 100 % reads its own reasoning, less answers past it.",
        _table(["arm", "answer follows %", "seeds"], lines),
    ]


def _missing(runs: Sequence[Run]) -> list[str]:
    missing = [run for run in runs if not run.finished]
    if not missing:
        return []
    lines = "\n".join(f"- `{run.arm.name}`, seed {run.seed}: not finished" for run in missing)
    return [f"## Missing\n\n{len(missing)} of {len(runs)} runs are in no table:", lines]


def _facts(done: Sequence[Run]) -> str:
    return "\n".join(
        [
            f"- {len(done)} runs; their RL steps took {results.duration(done) / 3600:.1f} hours, without start-up, "
            "evaluation and stages",
            f"- commit {', '.join(results.commits(done))}",
            f"- {_machine()}",
        ]
    )


def _machine() -> str:
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        named = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        cpu = named[0] if named else cpu
    return f"{os.cpu_count()} CPU cores ({cpu}), Python {platform.python_version()}"


def _steps(runs: Sequence[Run]) -> str:
    return " and ".join(str(steps) for steps in sorted({run.steps for run in runs}))


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
    marks = ["---" if number < 1 else "---:" for number in range(len(heads))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, marks, *lines))
