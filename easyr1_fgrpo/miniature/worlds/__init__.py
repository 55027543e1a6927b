"""The worlds, by name. A world is one module that says what is asked, how its teacher errs and what is consistent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, Protocol

import numpy as np

from easyr1_fgrpo.judges.protocol import Label
from easyr1_fgrpo.miniature.example import Example
from easyr1_fgrpo.miniature.scene import Scene
from easyr1_fgrpo.miniature.worlds import four_way, one_step, two_step


class World(Protocol):
    """What a world's module holds.

    Attributes:
        QUESTIONS: the question of each type, options included.
        QUESTION: reads a question of this world, whatever stands around it.
        PHRASES: what is one token though it holds a space.
        WORDS: tokens of its questions, in the order of their ids.
        NAMES: words that things are called by.
    """

    QUESTIONS: dict[str, str]
    QUESTION: re.Pattern[str]
    PHRASES: tuple[str, ...]
    WORDS: tuple[str, ...]
    NAMES: tuple[str, ...]

    def ask(self, scene: Scene, kind: str, /) -> Example:
        """The question of a type about a scene on which it is clear."""

    def draw_example(self, rng: np.random.Generator, /) -> Example:
        """A random scene with a question whose answer is clear."""

    def judge_consistency(self, question: str, trace: str, answer: str, /) -> Label:
        """Whether a trace argues to an answer; single-spaced text, the answer in lower case."""


WorldName = Literal["one_step", "two_step", "four_way"]

WORLDS: Mapping[WorldName, World] = MappingProxyType({"one_step": one_step, "two_step": two_step, "four_way": four_way})


NOTHING = "nothing"
"""In the place of a question type: none is held out."""


def check_held_out(world: str, held_out: str) -> None:
    """Raises a ValueError for a world that there is not, and for a question type that it does not have."""
    types = {str(name): list(one.QUESTIONS) for name, one in WORLDS.items()}.get(world)
    if types is None:
        raise ValueError(f"world_name={world}: choose {' or '.join(WORLDS)}")
    if held_out not in (NOTHING, *types):
        raise ValueError(f"held_out={held_out}: choose {NOTHING} or {', '.join(types)}")


def world_of(question: str) -> World:
    """The world that a question is about; the first one when it is no question of any."""
    return next((world for world in WORLDS.values() if world.QUESTION.search(question)), one_step)
