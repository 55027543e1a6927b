"""One question about one scene, and the reasoning that answers it: what every world makes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from easyr1_fgrpo.miniature.scene import OPPOSITE, Relation, Scene, Thing


@dataclass(frozen=True)
class Step:
    """One claim of a trace: how an object stands to another."""

    first: Thing
    relation: Relation
    second: Thing

    def flipped(self) -> Step:
        """The opposite claim."""
        return Step(self.first, OPPOSITE[self.relation], self.second)


Steps = tuple[Step, ...]
"""The claims of a trace in order; the last one's relation is its conclusion."""


@dataclass(frozen=True)
class Noise:
    """How often the noisy teacher errs where all worlds are alike.

    Attributes:
        wrong_box: a box that is elsewhere.
        right_after_wrong: the right answer after a wrong conclusion; otherwise the answer follows the conclusion.
        answer: another answer, whatever was said before.
    """

    wrong_box: float
    right_after_wrong: float
    answer: float


@dataclass(frozen=True)
class Example(ABC):
    """A scene, a question about it and the answer.

    Attributes:
        scene: everything in the picture, as it is drawn.
        answer: the right one of `choices`.
        world: what rows of this world are called.
        noise: of its teacher.
    """

    scene: Scene
    answer: Relation

    world: ClassVar[str]
    noise: ClassVar[Noise]

    @property
    @abstractmethod
    def choices(self) -> tuple[Relation, ...]:
        """The options, in the order in which the question names them; one of them is true."""

    @property
    @abstractmethod
    def type(self) -> str:
        """The question's type, a key of the world's `QUESTIONS`."""

    @property
    @abstractmethod
    def question(self) -> str:
        """The question with all options in it."""

    @property
    @abstractmethod
    def spoken(self) -> Scene:
        """The scene as questions and traces speak of it: `Thing.name` is the world's name for a thing."""

    @property
    @abstractmethod
    def asked(self) -> Scene:
        """The things that the question names, of `spoken`: theirs are the ground-truth boxes."""

    @property
    @abstractmethod
    def steps(self) -> Steps:
        """The reasoning that answers the question; every step is true."""

    @abstractmethod
    def mistaken_steps(self, rng: np.random.Generator) -> Steps:
        """The reasoning of the noisy teacher, right or wrong."""

    def other_choice(self, choice: Relation, rng: np.random.Generator) -> Relation:
        """Another option than this one; of two options it is the other, and nothing is drawn."""
        others = [other for other in self.choices if other is not choice]
        return others[rng.integers(len(others))]


def of_colours(scene: Scene, colours: Iterable[str]) -> Scene:
    """The things of these colours, in this order."""
    return tuple(next(thing for thing in scene if thing.colour == colour) for colour in colours)
