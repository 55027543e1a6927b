"""The first world: three coloured shapes on a grid and one question about how red stands to blue.

A world says what a scene is, what may be asked about it and what is true; pictures and wording are made elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

SIDE = 84  # px, the picture is square
CELL = 28  # px, one object at most in each of 3 x 3 cells
STEP = 7  # px, every box coordinate is a multiple
SIZES = (14, 21, 28)  # px; bigger reads as nearer

COLOURS = ("red", "blue", "green", "yellow", "purple")
ASKED = COLOURS[:2]  # "any two colours" never bound in a tiny model; a fixed pair does
SHAPES = ("circle", "square", "triangle")

Box = tuple[int, int, int, int]


class Relation(StrEnum):
    """How one object stands to another; the answer options of the world."""

    LEFT = "left"
    RIGHT = "right"
    ABOVE = "above"
    BELOW = "below"
    NEARER = "nearer"
    FARTHER = "farther"


class Axis(StrEnum):
    """What a question is about; each axis has two opposite relations."""

    HORIZONTAL = "horizontal"
    VERTICAL = "vertical"
    DEPTH = "depth"


RELATIONS: dict[Axis, tuple[Relation, Relation]] = {
    Axis.HORIZONTAL: (Relation.LEFT, Relation.RIGHT),
    Axis.VERTICAL: (Relation.ABOVE, Relation.BELOW),
    Axis.DEPTH: (Relation.NEARER, Relation.FARTHER),
}
OPPOSITE: dict[Relation, Relation] = {
    **dict(RELATIONS.values()),
    **{second: first for first, second in RELATIONS.values()},
}


@dataclass(frozen=True)
class Thing:
    """One object: colour, shape and its box (x1, y1, x2, y2) in pixels."""

    colour: str
    shape: str
    box: Box


Scene = tuple[Thing, ...]


@dataclass(frozen=True)
class Example:
    """A scene, the question asked about it and the relation that answers it (red against blue)."""

    scene: Scene
    axis: Axis
    answer: Relation

    @property
    def asked(self) -> tuple[Thing, Thing]:
        """The two objects the question compares."""
        first, second = (next(thing for thing in self.scene if thing.colour == colour) for colour in ASKED)
        return first, second


def holds(first: Thing, relation: Relation, second: Thing) -> bool:
    """Whether `first` stands in `relation` to `second`: by box centres, and by box area for depth."""
    (ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = first.box, second.box
    gap = {
        Relation.LEFT: (bx1 + bx2) - (ax1 + ax2),
        Relation.ABOVE: (by1 + by2) - (ay1 + ay2),
        Relation.NEARER: (ax2 - ax1) * (ay2 - ay1) - (bx2 - bx1) * (by2 - by1),
    }
    return gap[relation] > 0 if relation in gap else gap[OPPOSITE[relation]] < 0


def draw_example(rng: np.random.Generator) -> Example:
    """A random scene with a question whose answer is clear: different columns, rows or sizes of red and blue."""
    while True:
        scene = _draw_scene(rng)
        axis = list(Axis)[rng.integers(len(Axis))]
        example = Example(scene, axis, answer=RELATIONS[axis][0])
        first, second = example.asked
        if _clear(first, second, axis):
            answer = next(relation for relation in RELATIONS[axis] if holds(first, relation, second))
            return Example(scene, axis, answer)


def _draw_scene(rng: np.random.Generator) -> Scene:
    cells = rng.permutation((SIDE // CELL) ** 2)[:3]
    distractor = COLOURS[rng.integers(2, len(COLOURS))]
    return tuple(_draw_thing(rng, colour, int(cell)) for colour, cell in zip((*ASKED, distractor), cells, strict=True))


def _draw_thing(rng: np.random.Generator, colour: str, cell: int) -> Thing:
    size = int(rng.choice(SIZES))
    row, column = divmod(cell, SIDE // CELL)
    x, y = (CELL * index + STEP * int(rng.integers((CELL - size) // STEP + 1)) for index in (column, row))
    return Thing(colour, SHAPES[rng.integers(len(SHAPES))], (x, y, x + size, y + size))


def _clear(first: Thing, second: Thing, axis: Axis) -> bool:
    if axis is Axis.DEPTH:
        return first.box[2] - first.box[0] != second.box[2] - second.box[0]
    low = 0 if axis is Axis.HORIZONTAL else 1
    return first.box[low] // CELL != second.box[low] // CELL
