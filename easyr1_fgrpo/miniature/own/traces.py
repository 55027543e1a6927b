"""Traces from a template, for rows that come without: boxes, a conclusion, the answer.

They err as the miniature's do (`miniature/teacher.py`): a wrong conclusion now and then, and sometimes the right answer
after it, so that there is something for a reward to raise and for the consistency constraint to hold.
"""

from __future__ import annotations

import random
from collections import defaultdict

from easyr1_fgrpo.normal_form import normalize_answer
from easyr1_fgrpo.rows import Row

WRONG = 0.3
"""Share of traces that conclude something else."""

SAVED = 0.3
"""Share of these whose answer is right nevertheless."""

Size = tuple[int, int]


class Answers:
    """What a data set's questions are answered with: where wrong answers are drawn from."""

    def __init__(self) -> None:
        # Answers with their normal forms; dictionaries keep the order, so draws repeat.
        self._same: dict[str, dict[str, str]] = defaultdict(dict)
        self._all: dict[str, str] = {}

    def add(self, row: Row) -> None:
        """Take a row's answer in."""
        answer = row.reward_model.ground_truth
        self._same[row.extra_info.question][answer] = self._all[answer] = normalize_answer(answer)

    def wrong(self, row: Row, rng: random.Random) -> str | None:
        """Another option, else another answer to the same question, else to any; None where there is no other."""
        right = normalize_answer(row.reward_model.ground_truth)
        options = {choice: normalize_answer(choice) for choice in row.extra_info.choices}
        for pool in (options, self._same[row.extra_info.question], self._all):
            others = [answer for answer, normal in pool.items() if normal != right]
            if others:
                return rng.choice(others)
        return None


def response(row: Row, answers: Answers, seen_at: Size, rng: random.Random) -> str:
    """A whole response to a row.

    Args:
        row: the question.
        answers: where a wrong conclusion is drawn from.
        seen_at: width and height of the first picture as the policy sees it; boxes are in its pixels.
        rng: decides whether it errs.
    """
    right = row.reward_model.ground_truth
    concluded = (answers.wrong(row, rng) if rng.random() < WRONG else None) or right
    answer = right if concluded != right and rng.random() < SAVED else concluded
    boxes = [",".join(str(round(corner)) for corner in box) for box in row.boxes_at(*seen_at)]
    shown = "".join(f"Look at <bbox>[{box}]</bbox>. " for box in boxes)
    return f"<think>{shown}So the answer is {concluded}.</think><answer>{answer}</answer>"
