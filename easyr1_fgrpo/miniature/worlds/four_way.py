"""The third world: pick the nearer or the farther of red and blue, then say where it is from green, four ways.

A blind guess is right in a quarter of all scenes. Red and blue each lie in green's row or column, their centres on a
line with green's, so that one option is true and nobody could be in doubt about the other three. All such arrangements
are equally likely: each answer is right in a quarter of them, and 7 of 9 are conflict scenes, in which the other one of
red and blue leads to another answer. A guess that skips the first step is right in 11 of 18.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations
from types import MappingProxyType

import numpy as np

from easyr1_fgrpo.judges.protocol import Label
from easyr1_fgrpo.miniature.example import Noise, of_colours
from easyr1_fgrpo.miniature.language import one_of
from easyr1_fgrpo.miniature.scene import (
    CELL,
    CELLS,
    COLOURS,
    RELATIONS,
    SIDE,
    Axis,
    Relation,
    Scene,
    Thing,
    clear,
    draw_thing,
    holds,
)
from easyr1_fgrpo.miniature.worlds.pick_and_place import ASKED, BLUE, GREEN, PICKS, RED, PickAndPlace, judge, picked

CHOICES = (*RELATIONS[Axis.HORIZONTAL], *RELATIONS[Axis.VERTICAL])
ASKED_SIZES = (14, 28)
"""Sizes of red, blue and green in pixels; one of 21 has its centre between the lines of the others."""

WRONG_PICK = 0.25
"""How often the noisy teacher picks the other one of red and blue."""
WRONG_PLACE: Mapping[Axis, float] = MappingProxyType({Axis.HORIZONTAL: 0.2, Axis.VERTICAL: 0.75})
"""How often it then says another option, by where the picked one is; three quarters are a blind guess."""

_NAMED = f"{', '.join(CHOICES[:-1])} or {CHOICES[-1]}"
_BOTH = f"one of the {RED} and the {BLUE}"
QUESTIONS: dict[str, str] = {
    str(wanted): f"Seen from the {GREEN}, is the {wanted} {_BOTH} {_NAMED}?" for wanted in PICKS
}
QUESTION = re.compile(rf"\bseen from the {GREEN}, is the {one_of(PICKS, 'wanted')} {_BOTH}\b", re.IGNORECASE)
PHRASES: tuple[str, ...] = (f"Seen from the {GREEN}, is the", f" {_BOTH}")
WORDS: tuple[str, ...] = (*PHRASES, ",", " or", "?")
NAMES: tuple[str, ...] = COLOURS


@dataclass(frozen=True)
class FourWay(PickAndPlace):
    """A question like "Seen from the green, is the nearer one of the red and the blue left, right, above or below?"."""

    world = "miniature_four_way"
    noise = Noise(wrong_box=0.1, right_after_wrong=0.35, answer=0.01)
    wrong_pick = WRONG_PICK
    wrong_place = WRONG_PLACE

    @property
    def choices(self) -> tuple[Relation, ...]:
        """All four."""
        return CHOICES

    @property
    def type(self) -> str:
        """What is picked."""
        return str(self.wanted)

    @property
    def question(self) -> str:
        """As `QUESTIONS`."""
        return QUESTIONS[self.type]


def ask(scene: Scene, kind: str) -> FourWay:
    """The question of a type about a scene on which it is clear."""
    thing, (green,) = picked(scene, Relation(kind)), of_colours(scene, (GREEN,))
    (answer,) = true_choices(thing, green)
    return FourWay(scene, answer, Relation(kind))


def draw_example(rng: np.random.Generator) -> FourWay:
    """A random scene with a clear question, in any of `ARRANGEMENTS`."""
    kind = list(QUESTIONS)[rng.integers(len(QUESTIONS))]
    cells = ARRANGEMENTS[rng.integers(len(ARRANGEMENTS))]
    free = [cell for cell in range(CELLS) if cell not in cells]
    asked = _draw_asked(rng, cells)
    colour, cell = COLOURS[rng.integers(len(ASKED), len(COLOURS))], free[rng.integers(len(free))]
    return ask((*asked, draw_thing(rng, colour, cell)), kind)


def true_choices(thing: Thing, green: Thing) -> list[Relation]:
    """The options that are true of a thing: one when its centre is on a line with green's, else two."""
    return [choice for choice in CHOICES if holds(thing, choice, green)]


def judge_consistency(question: str, trace: str, answer: str) -> Label:
    """Whether the trace argues to the answer; see `judge`."""
    return judge(QUESTION.search(question), trace, answer)


def _draw_asked(rng: np.random.Generator, cells: tuple[int, ...]) -> Scene:
    """Red, blue and green in these cells, red and blue of different sizes and both on a line with green."""
    while True:
        red, blue, green = (
            draw_thing(rng, colour, cell, ASKED_SIZES) for colour, cell in zip(ASKED, cells, strict=True)
        )
        if clear(red, Axis.DEPTH, blue) and _one_true(red, blue, green):
            return red, blue, green


def _one_true(red: Thing, blue: Thing, green: Thing) -> bool:
    return len(true_choices(red, green)) == len(true_choices(blue, green)) == 1


def _filling(cell: int) -> Thing:
    """A thing as big as its cell."""
    row, column = divmod(cell, SIDE // CELL)
    return Thing("", "", (CELL * column, CELL * row, CELL * (column + 1), CELL * (row + 1)))


ARRANGEMENTS = tuple(cells for cells in permutations(range(CELLS), len(ASKED)) if _one_true(*map(_filling, cells)))
"""Cells of red, blue and green in which one option is true of red, and one of blue."""
