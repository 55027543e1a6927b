"""Open-ended questions: kept, dropped, or turned into multiple choice (FGRPO's RL items are all multiple choice).

`to-choices` draws up to three wrong options from the answers that the same data set gives to questions of the same kind
("yes/no", a number, else the question's first two words). Nobody looks at the picture: a drawn option may be true of it
as well, and options are easier to tell apart than an examiner's. FGRPO does not say how it made its items.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from enum import StrEnum

from data_prep.normalise.decontaminate import words
from data_prep.sources.item import Item, Reject
from easyr1_fgrpo.normal_form import normalize_answer

EXACT_WORDS = 5
"""A free answer of more words can hardly be matched exactly; the row is refused unless it gets choices."""

OPTION_WORDS = 30
"""A longer answer is no option either."""

_WRONG = 3
_POOL = 2000


class OpenEnded(StrEnum):
    """What becomes of a question without choices."""

    KEEP = "keep"
    DROP = "drop"
    TO_CHOICES = "to-choices"


class AnswerPool:
    """The different answers of every data set and kind of question, the first 2,000 of each."""

    def __init__(self, items: Iterable[Item | Reject] = ()) -> None:
        self._answers: dict[tuple[str, str], dict[str, str]] = {}
        for item in items:
            if isinstance(item, Item) and not item.choices and _length(item.answer) <= OPTION_WORDS:
                answers = self._answers.setdefault(_kind(item), {})
                if len(answers) < _POOL:
                    answers.setdefault(normalize_answer(item.answer), item.answer)

    def choices(self, item: Item, rng: random.Random) -> tuple[str, ...]:
        """The item's answer among wrong ones, shuffled.

        Raises:
            Reject: when its answer is too long for an option, or nothing else was ever answered to such a question.
        """
        if _length(item.answer) > OPTION_WORDS:
            raise Reject("answer too long", item.answer)
        kind = _kind(item)
        if kind[1] == "yes/no":
            choices = ["yes", "no"]
        else:
            right = normalize_answer(item.answer)
            others = [text for normal, text in self._answers.get(kind, {}).items() if normal != right]
            if not others:
                raise Reject("no other answer of this kind", kind[1])
            choices = [item.answer, *rng.sample(others, min(_WRONG, len(others)))]
        rng.shuffle(choices)
        return tuple(choices)


def check_length(answer: str) -> None:
    """Refuse a free answer that cannot be matched.

    Raises:
        Reject: for more than `EXACT_WORDS` words.
    """
    if _length(answer) > EXACT_WORDS:
        raise Reject("answer too long", answer)


def _kind(item: Item) -> tuple[str, str]:
    answer = normalize_answer(item.answer)
    if answer in ("yes", "no"):
        return item.dataset, "yes/no"
    if answer.removeprefix("-").replace(".", "", 1).isdecimal():
        return item.dataset, "number"
    return item.dataset, " ".join(words(item.question).split()[:2])


def _length(answer: str) -> int:
    return len(answer.split())
