"""The second world: pick the nearer or the farther of red and blue, then say on which side of green it is.

Half of the scenes are conflict scenes: red and blue lie on opposite sides of green, so that a guess which skips the
first step is right in three quarters of all scenes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from easyr1_fgrpo.judges.protocol import Label
from easyr1_fgrpo.miniature.example import Noise, of_colours
from easyr1_fgrpo.miniature.language import LINK, one_of
from easyr1_fgrpo.miniature.scene import (
    COLOURS,
    RELATIONS,
    Axis,
    Relation,
    Scene,
    clear,
    draw_scene,
    relation_between,
)
from easyr1_fgrpo.miniature.worlds.pick_and_place import (
    ASKED,
    BLUE,
    GREEN,
    PICKS,
    RED,
    PickAndPlace,
    in_conflict,
    judge,
    picked,
)

AXES = (Axis.HORIZONTAL, Axis.VERTICAL)

WRONG_PICK = 0.25
"""How often the noisy teacher picks the other one of red and blue."""
FLIP: Mapping[Axis, float] = MappingProxyType({Axis.HORIZONTAL: 0.2, Axis.VERTICAL: 0.65})
"""How often it then states the opposite of how the picked one stands to green."""
CONFLICT = 0.5

_KINDS = {f"{wanted}_{axis}": (wanted, axis) for wanted in PICKS for axis in AXES}
QUESTIONS: dict[str, str] = {
    kind: f"Of the {RED} and the {BLUE}, is the {wanted} one {RELATIONS[axis][0]} or"
    f" {LINK[RELATIONS[axis][1]]} the {GREEN}?"
    for kind, (wanted, axis) in _KINDS.items()
}
QUESTION = re.compile(rf"\bof the {RED} and the {BLUE}, is the {one_of(PICKS, 'wanted')} one\b", re.IGNORECASE)
PHRASES: tuple[str, ...] = (f"Of the {RED} and the {BLUE},", " is the")
WORDS: tuple[str, ...] = (*PHRASES, " one", " or", "?")
NAMES: tuple[str, ...] = COLOURS


@dataclass(frozen=True)
class TwoStep(PickAndPlace):
    """A question like "Of the red and the blue, is the nearer one left or right of the green?".

    Attributes:
        axis: on which the picked one is placed.
    """

    axis: Axis

    world = "miniature_two_step"
    noise = Noise(wrong_box=0.1, right_after_wrong=0.25, answer=0.01)
    wrong_pick = WRONG_PICK
    wrong_place = FLIP

    @property
    def choices(self) -> tuple[Relation, ...]:
        """The two sides of the axis."""
        return RELATIONS[self.axis]

    @property
    def type(self) -> str:
        """What is picked and on which axis it is placed."""
        return f"{self.wanted}_{self.axis}"

    @property
    def question(self) -> str:
        """As `QUESTIONS`."""
        return QUESTIONS[self.type]


def ask(scene: Scene, kind: str) -> TwoStep:
    """The question of a type about a scene on which it is clear."""
    wanted, axis = _KINDS[kind]
    (green,) = of_colours(scene, (GREEN,))
    return TwoStep(scene, relation_between(picked(scene, wanted), axis, green), wanted, axis)


def draw_example(rng: np.random.Generator) -> TwoStep:
    """A random scene with a clear question; red and blue lie on opposite sides of green in half of all scenes."""
    kind = list(QUESTIONS)[rng.integers(len(QUESTIONS))]
    conflict = bool(rng.random() < CONFLICT)
    while True:
        scene = draw_scene(rng, len(ASKED))
        if _clear(scene, _KINDS[kind][1]) and in_conflict(example := ask(scene, kind)) is conflict:
            return example


def judge_consistency(question: str, trace: str, answer: str) -> Label:
    """Whether the trace argues to the answer; see `judge`."""
    return judge(QUESTION.search(question), trace, answer)


def _clear(scene: Scene, axis: Axis) -> bool:
    red, blue, green = of_colours(scene, ASKED)
    return clear(red, Axis.DEPTH, blue) and clear(red, axis, green) and clear(blue, axis, green)
