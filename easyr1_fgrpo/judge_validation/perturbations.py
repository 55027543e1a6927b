"""Planted errors: true sentences and entailed answers of the records, changed so that a judge should object.

The rules read plain text of any dataset, and change it only where the change is plain. None of them can see the image,
so a few planted errors are true by accident (a renamed object may stand there too): expect somewhat less than all to be
caught by a perfect judge.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

from easyr1_fgrpo.judge_validation.questions import Case
from easyr1_fgrpo.judge_validation.words import (
    ABOVE_BELOW,
    ATTRIBUTES,
    COLOURS,
    LEFT_RIGHT,
    NEARER_FARTHER,
    OBJECTS,
    Exchange,
    Opposites,
)
from easyr1_fgrpo.judges.protocol import Label, Question
from easyr1_fgrpo.rewards import answer_matches, normalize_answer

MOST_PER_KIND = 200
"""Planted errors of a kind at most: enough for a share within 7 points, and no more questions than that."""

MAX_CLAIM = 1000
"""Characters of a sentence that is changed at most: longer ones are no single claim."""

TRIES = 50
"""Places or donors drawn before a change is given up."""

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

TRUE = {Question.CONSISTENCY: Label.YES, Question.GROUNDING: Label.CORRECT}
FALSE = {Question.CONSISTENCY: Label.NO, Question.GROUNDING: Label.INCORRECT}

_BOX = re.compile(r"<bbox>\s*\[\s*([\d.]{1,12}(?:\s*,\s*[\d.]{1,12}){3})\s*\]\s*</bbox>")
_NEGATED = re.compile(r"\b(?:not|no|none|never|neither|nor|without|cannot)\b|n['’]t\b|\?", re.IGNORECASE)
_WORD = re.compile(r"[a-z]{3,}")
_SMALL_WORDS = {"the", "and", "are", "that", "this", "with", "from", "its", "has", "have", "which", "there", "bbox"}

SizeOf = Callable[[str], tuple[int, int] | None]
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
        seed: chooses cases, words, places and donors.
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


# ---------------------------------------------------------------------- consistency


def answer_swapped(case: Case, rng: random.Random) -> str | None:
    """Another choice in the form of the answer: its letter, its text, or both."""
    named = [number for number, text in enumerate(case.choices) if answer_matches(case.answer, text, case.choices)]
    others = [number for number in range(min(len(case.choices), len(LETTERS))) if number not in named]
    if len(named) != 1 or not others:
        return None
    given, other = normalize_answer(case.answer), rng.choice(others)
    letter, text = LETTERS[other], case.choices[other]
    if given == normalize_answer(case.choices[named[0]]):
        return text
    return letter if len(given) == 1 else f"{letter}. {text}"


# ---------------------------------------------------------------------- grounding


def renamed(words: Exchange, case: Case, rng: random.Random) -> str | None:
    """One thing or colour of the claim called another, which neither the question nor the trace names."""
    found = sorted({match["word"].lower() for match in words.pattern.finditer(case.claim)})
    if not found or _NEGATED.search(case.claim):
        return None
    entry = words.entry[rng.choice(found)]
    named = {match["word"].lower() for text in (case.question, case.trace) for match in words.pattern.finditer(text)}
    free = [word for word in words.replacements[entry] if not any(_same_entry(words, word, other) for other in named)]
    if not free:
        return None
    replacement = rng.choice(free)

    def put(match: re.Match[str]) -> str:
        if words.entry[match["word"].lower()] != entry:
            return match[0]
        return _in_place_of(match, replacement) + match["plural"]

    return words.pattern.sub(put, case.claim)


def flipped(properties: Sequence[Opposites], case: Case, rng: random.Random) -> str | None:
    """One property of the claim turned to its opposite, wherever the claim names it."""
    if _NEGATED.search(case.claim):
        return None
    changes = [changed for opposites in properties if (changed := _flip(opposites, case.claim)) is not None]
    return rng.choice(changes) if changes else None


def box_moved(size_of: SizeOf, case: Case, rng: random.Random) -> str | None:
    """One box of the claim moved to where it does not touch the old one, inside the image."""
    boxes = sorted({match[1] for match in _BOX.finditer(case.claim)})
    if not boxes or not case.images:
        return None
    old = rng.choice(boxes)
    try:
        x1, y1, x2, y2 = (float(number) for number in old.split(","))
    except ValueError:  # "1.2.3" is no number
        return None
    sizes = [size for digest in case.images if (size := size_of(digest)) is not None]
    width, height = (min(sides) for sides in zip(*sizes, strict=True))
    if not (0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height):
        return None
    for _ in range(TRIES):
        dx, dy = rng.randint(-int(x1), int(width - x2)), rng.randint(-int(y1), int(height - y2))
        if abs(dx) >= x2 - x1 or abs(dy) >= y2 - y1:
            new = ",".join(f"{number:.6g}" for number in (x1 + dx, y1 + dy, x2 + dx, y2 + dy))
            return case.claim.replace(old, new)
    return None


def from_another_image(donors: Sequence[Case], case: Case, rng: random.Random) -> str | None:
    """A true sentence of another image that names something of which question and trace here do not speak."""
    here = _content_words(f"{case.question} {case.trace}")
    for _ in range(TRIES):
        donor = rng.choice(donors)
        elsewhere = not set(donor.images) & set(case.images)
        if elsewhere and len(donor.claim) <= MAX_CLAIM and _content_words(donor.claim) - here:
            return donor.claim
    return None


# ---------------------------------------------------------------------- text


def _flip(opposites: Opposites, claim: str) -> str | None:
    """The claim with one side's words turned; None when it speaks of both sides or of none."""
    one, other = (any(_pattern(words).search(claim) for words in side) for side in (opposites.one, opposites.other))
    if one == other:
        return None
    for words, opposite in (opposites.one if one else opposites.other).items():
        claim = _pattern(words).sub(partial(_in_place_of, word=opposite), claim)
    return claim


@lru_cache(None)
def _pattern(words: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?P<article>an? )?(?P<word>{words})\b", re.IGNORECASE)


def _in_place_of(match: re.Match[str], word: str) -> str:
    """The new word with the article and the capital that it needs: a wrong article would give the error away."""
    article = match["article"] and match["article"][0] + ("n " if word[0] in "aeiou" else " ")
    return (article or "") + (word.capitalize() if match["word"][0].isupper() else word)


def _same_entry(words: Exchange, first: str, second: str) -> bool:
    return words.entry[first] == words.entry[second]


def _content_words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower())) - _SMALL_WORDS


def _single_spaced(text: str) -> str:
    return " ".join(text.split())
