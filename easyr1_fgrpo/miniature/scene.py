"""What a picture shows: coloured shapes on a grid of 3 x 3 cells, and how they stand to each other.

Shared by all worlds; what is asked about a scene is a world's own affair (`worlds/`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

SIDE = 84  # px, the picture is square
CELL = 28  # px, one object at most in each of 3 x 3 cells
CELLS = (SIDE // CELL) ** 2  # row by row from the top left
STEP = 7  # px, every box coordinate is a multiple
SIZES = (14, 21, 28)  # px; bigger reads as nearer

COLOURS = ("red", "blue", "green", "yellow", "purple")
SHAPES = ("circle", "square", "triangle")

Box = tuple[int, int, int, int]


class Relation(StrEnum):
    """How one object stands to another; the answer options of the worlds."""

    LEFT = "left"
    RIGHT = "right"
    ABOVE = "above"
    BELOW = "below"
    NEARER = "nearer"
    FARTHER = "farther"


class Axis(StrEnum):
    """What two objects are compared by; each axis has two opposite relations."""

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
AXIS: dict[Relation, Axis] = {relation: axis for axis, both in RELATIONS.items() for relation in both}


@dataclass(frozen=True)
class Thing:
    """One object: colour, shape and its box (x1, y1, x2, y2) in pixels.

    The shape is "" where a world does not speak of shapes.
    """

    colour: str
    shape: str
    box: Box

    @property
    def name(self) -> str:
        """What questions and traces call it."""
        return f"{self.colour} {self.shape}".rstrip()


Scene = tuple[Thing, ...]


def holds(first: Thing, relation: Relation, second: Thing) -> bool:
    """Whether `first` stands in `relation` to `second`: by box centres, and by box area for depth."""
    (ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = first.box, second.box
    gap = {
        Relation.LEFT: (bx1 + bx2) - (ax1 + ax2),
        Relation.ABOVE: (by1 + by2) - (ay1 + ay2),
        Relation.NEARER: (ax2 - ax1) * (ay2 - ay1) - (bx2 - bx1) * (by2 - by1),
    }
    return gap[relation] > 0 if relation in gap else gap[OPPOSITE[relation]] < 0


def relation_between(first: Thing, axis: Axis, second: Thing) -> Relation:
    """How `first` stands to `second` on an axis on which they are `clear`."""
    return next(relation for relation in RELATIONS[axis] if holds(first, relation, second))


def clear(first: Thing, axis: Axis, second: Thing) -> bool:
    """Whether nobody could be in doubt: different columns, rows or sizes."""
    if axis is Axis.DEPTH:
        return first.box[2] - first.box[0] != second.box[2] - second.box[0]
    low = 0 if axis is Axis.HORIZONTAL else 1
    return first.box[low] // CELL != second.box[low] // CELL


def draw_scene(rng: np.random.Generator, n_asked: int) -> Scene:
    """One object of each of the first `n_asked` colours, and a distractor of another colour, in random cells."""
    cells = rng.permutation(CELLS)[: n_asked + 1]
    distractor = COLOURS[rng.integers(n_asked, len(COLOURS))]
    colours = (*COLOURS[:n_asked], distractor)
    return tuple(draw_thing(rng, colour, int(cell)) for colour, cell in zip(colours, cells, strict=True))


def draw_thing(rng: np.random.Generator, colour: str, cell: int, sizes: tuple[int, ...] = SIZES) -> Thing:
    """An object of this colour, of random shape and of one of the sizes, anywhere in a cell."""
    size = int(rng.choice(sizes))
    row, column = divmod(cell, SIDE // CELL)
    x, y = (CELL * index + STEP * int(rng.integers((CELL - size) // STEP + 1)) for index in (column, row))
    return Thing(colour, SHAPES[rng.integers(len(SHAPES))], (x, y, x + size, y + size))
