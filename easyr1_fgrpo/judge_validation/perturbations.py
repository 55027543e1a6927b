"""Planted errors: true sentences and entailed answers of the records, changed so that a judge should object.

The rules read plain text of any dataset, and change it only where the change is plain. None of them can see the image,
so a few planted errors are true by accident (a renamed object may stand there too): expect somewhat less than all to be
caught by a perfect judge.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from easyr1_fgrpo.judge_validation.questions import Case
from easyr1_fgrpo.judge_validation.rules import (
    MAX_CLAIM,
    SizeOf,
    answer_swapped,
    box_moved,
    flipped,
    from_another_image,
    renamed,
)
from easyr1_fgrpo.judge_validation.words import ABOVE_BELOW, ATTRIBUTES, COLOURS, LEFT_RIGHT, NEARER_FARTHER, OBJECTS
from easyr1_fgrpo.judges.protocol import Label, Question

MOST_PER_KIND = 200
"""Planted errors of a kind at most: enough for a share within 7 points, and no more questions than that."""

TRUE = {Question.CONSISTENCY: Label.YES, Question.GROUNDING: Label.CORRECT}
FALSE = {Question.CONSISTENCY: Label.NO, Question.GROUNDING: Label.INCORRECT}

Rule = Callable[[Case, random.Random], str | None]
"""The changed answer or claim; None where the text does not allow it."""


@dataclass(frozen=True)
class Planted:
    """One planted error.

    Attributes:
        name: the kind of error.
        original: number of the unchanged case.
        case: the changed one.
    """

    name: str
    original: int
    case: Case


@dataclass(frozen=True)
class Plan:
    """The planted errors of one kind: candidates = made + `unsuitable` + `spared`.

    Attributes:
        name: the kind.
        question: what it is about.
        planted: the errors.
        unsuitable: cases whose text did not allow it.
        spared: cases left over when there were `MOST_PER_KIND`.
    """

    name: str
    question: Question
    planted: list[Planted]
    unsuitable: int
    spared: int


def plant(cases: Sequence[Case], size_of: SizeOf, seed: int) -> list[Plan]:
    """Plant errors of every kind into the cases whose reference says YES or CORRECT, in seeded order.

    Args:
        cases: what the judge is asked anyway.
        size_of: width and height of an image, by its hash.
        seed: chooses cases, words, positions and donors.
    """
    true = [number for number, case in enumerate(cases) if case.reference.label is TRUE[case.kind]]
    claims = [cases[number] for number in true if cases[number].kind is Question.GROUNDING]
    rules: dict[str, tuple[Question, Rule]] = {
        "answer swapped": (Question.CONSISTENCY, answer_swapped),
        "object renamed": (Question.GROUNDING, partial(renamed, OBJECTS)),
        "colour changed": (Question.GROUNDING, partial(renamed, COLOURS)),
        "attribute changed": (Question.GROUNDING, partial(flipped, ATTRIBUTES)),
        "left/right flipped": (Question.GROUNDING, partial(flipped, LEFT_RIGHT)),
        "above/below flipped": (Question.GROUNDING, partial(flipped, ABOVE_BELOW)),
        "nearer/farther flipped": (Question.GROUNDING, partial(flipped, NEARER_FARTHER)),
        "box moved": (Question.GROUNDING, partial(box_moved, size_of)),
        "from another image": (Question.GROUNDING, partial(from_another_image, claims)),
    }
    return [
        _plan(
            name, question, rule, [(number, cases[number]) for number in true if cases[number].kind is question], seed
        )
        for name, (question, rule) in rules.items()
    ]


def _plan(name: str, question: Question, rule: Rule, candidates: list[tuple[int, Case]], seed: int) -> Plan:
    rng = random.Random(f"{seed}/{name}")
    rng.shuffle(candidates)
    planted: list[Planted] = []
    unsuitable = 0
    for number, case in candidates:
        if len(planted) == MOST_PER_KIND:
            break
        changed = _change(rule, case, rng)
        if changed is None:
            unsuitable += 1
        else:
            planted.append(Planted(name, number, changed))
    return Plan(name, question, planted, unsuitable, len(candidates) - len(planted) - unsuitable)


def _change(rule: Rule, case: Case, rng: random.Random) -> Case | None:
    """The changed case; None when nothing changed or the change only repeats the trace (that asks for SKIP)."""
    if len(case.claim) > MAX_CLAIM or (text := rule(case, rng)) is None:
        return None
    if case.kind is Question.CONSISTENCY:
        return replace(case, answer=text)
    repeated = _single_spaced(text) in _single_spaced(case.context)
    return None if repeated or text == case.claim else replace(case, claim=text)


def _single_spaced(text: str) -> str:
    return " ".join(text.split())
