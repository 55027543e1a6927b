"""Rules that make a true text false: a sentence or answer in, the changed one out, None where it allows none."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from functools import lru_cache, partial

from easyr1_fgrpo.judge_validation.questions import Case
from easyr1_fgrpo.judge_validation.words import Exchange, Opposites
from easyr1_fgrpo.rewards import answer_matches, normalize_answer

MAX_CLAIM = 1000
"""Characters of a sentence that is changed at most: longer ones are no single claim."""

TRIES = 50
"""Positions or donors drawn before a change is given up."""

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_BOX = re.compile(r"<bbox>\s*\[\s*([\d.]{1,12}(?:\s*,\s*[\d.]{1,12}){3})\s*\]\s*</bbox>")
_NEGATED = re.compile(r"\b(?:not|no|none|never|neither|nor|without|cannot)\b|n['’]t\b|\?", re.IGNORECASE)
_WORD = re.compile(r"[a-z]{3,}")
_SMALL_WORDS = {"the", "and", "are", "that", "this", "with", "from", "its", "has", "have", "which", "there", "bbox"}

SizeOf = Callable[[str], tuple[int, int] | None]
"""Width and height of an image, by its hash."""


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
