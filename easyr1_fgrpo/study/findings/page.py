"""The page of the findings: every question with its answer, picture, numbers and command, and what to use when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from easyr1_fgrpo.files import write_whole
from easyr1_fgrpo.miniature.worlds import WorldName
from easyr1_fgrpo.report.figures.style import METADATA, house_style
from easyr1_fgrpo.study.findings import (
    accuracy,
    competition,
    faithful,
    four_way,
    judge_errors,
    levels,
    longer,
    scale,
    starts,
)
from easyr1_fgrpo.study.findings.numbers import Runs, listed, seeds_named, start_of
from easyr1_fgrpo.study.findings.question import Question, Section
from easyr1_fgrpo.study.records import Record
from easyr1_fgrpo.tables import markdown_table

QUESTIONS = tuple(
    module.QUESTION
    for module in (faithful, accuracy, levels, scale, competition, four_way, starts, judge_errors, longer)
)
PICTURES = "pictures"
WIDTH, HEIGHT = 6.4, 2.8
"""Of a picture, in inches."""

_HEAD = """\
# What the miniature study found

Written by `fgrpo study findings` from the runs' records ([results](../recipes/results/miniature.md): every run with its
numbers and overrides), so that no sentence is older than its numbers. Questions about pictures of coloured shapes, with
a world, a backbone and a warm start for each seed; 200 steps of 24 prompts x 5 rollouts unless said otherwise; measured
on 1,024 questions that no training saw. *Faithful accuracy* is the share of questions answered rightly by a trace that
entails the answer and whose every judged sentence is true. An interval is Student's 95 % over seeds. One seed shows a
direction and no size: the same seed on another kind of processor, which rounds differently, ended 11 points of accuracy
apart ([five arms on AMD cores](../recipes/results/miniature_amd_epyc.md))."""

_FOOT = """\
## What the paper leaves open

Who is in a signal's group, what a verdict is credited to, whitening, the floor of the standard deviation and the order
of the dual step: [open_choices.md](open_choices.md)."""


def write_findings(records: Mapping[WorldName, Iterable[Record]], page: Path) -> list[Question]:
    """Write the page, and its pictures into `PICTURES` beside it.

    Args:
        records: of finished runs, by world.
        page: Markdown file.

    Returns:
        The questions whose runs are missing.

    Raises:
        OSError: when a file cannot be written.
    """
    runs = {world: Runs(its) for world, its in records.items()}
    answered: list[tuple[Question, Section]] = []
    missing: list[Question] = []
    for question in QUESTIONS:
        section = question.find(runs[question.world])
        if section is None:
            missing.append(question)
            continue
        _draw(question, runs[question.world], page.parent / PICTURES / _picture(question))
        answered.append((question, section))
    advice = [line for question, _ in answered for line in question.advise(runs[question.world])]
    parts = [
        _HEAD,
        *(part for question, section in answered for part in _section(question, section, runs[question.world])),
    ]
    if advice:
        rows = [[line.use, line.when, line.evidence] for line in advice]
        parts += ["## What to use", markdown_table(["use", "when", "evidence"], rows, escape=False)]
    parts += [_FOOT, *_missing(missing)]
    write_whole(page, "\n\n".join(parts) + "\n")
    return missing


def _section(question: Question, section: Section, runs: Runs) -> list[str]:
    picture = f"![{question.title}]({PICTURES}/{_picture(question)})"
    return [
        f"## {question.title}",
        section.answer,
        picture,
        *section.parts,
        *_elsewhere(question, runs),
        *_without(question, runs),
        f"```bash\n{question.command}\n```",
    ]


def _elsewhere(question: Question, runs: Runs) -> list[str]:
    """Runs that began with another warm start than most of their seed's."""
    others = []
    for seed in question.seeds:
        found = [record for record in runs.all(question.arms, [seed]) if record.held_out == "nothing"]
        usual = Counter(map(start_of, found)).most_common(1)
        others += [f"`{record.arm}` (seed {seed})" for record in found if start_of(record) != usual[0][0]]
    if not others:
        return []
    return [
        "Made on another kind of processor, from a warm start that is rounded differently, and therefore to be "
        f"compared in direction only: {listed(others)}."
    ]


def _without(question: Question, runs: Runs) -> list[str]:
    """What the answer is without: runs of the question that are not finished."""
    parts = []
    for arm in question.arms:
        done = {record.seed for record in runs.of(arm)}
        missing = [seed for seed in question.seeds if seed not in done]
        if missing:
            which = f" ({seeds_named(missing)})" if done else ""
            parts.append(f"`{arm}`{which}")
    return [f"Not run yet: {', '.join(parts)}."] if parts else []


def _missing(questions: list[Question]) -> list[str]:
    if not questions:
        return []
    commands = "\n".join(question.command for question in questions)
    titles = "\n".join(f"- {question.title}" for question in questions)
    return ["## Not run yet", titles, f"```bash\n{commands}\n```"]


def _picture(question: Question) -> str:
    return f"findings_{question.slug}.svg"


def _draw(question: Question, runs: Runs, path: Path) -> None:
    with house_style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(WIDTH, HEIGHT))
        question.draw(figure, runs)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata=METADATA["svg"])
