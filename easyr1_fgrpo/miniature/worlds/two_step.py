"""The second world: pick the nearer or the farther of red and blue, then say how it stands to green.

Half of the scenes are conflict scenes: red and blue lie on opposite sides of green, so that a guess which skips the
first step is right in three quarters of all scenes. Things are called by their colours alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from easyr1_fgrpo.judges.protocol import Label
from easyr1_fgrpo.miniature.example import Example, Noise, Step, Steps, of_colours
from easyr1_fgrpo.miniature.language import COLOUR, LINK, Said, all_said, conclusions, one_of, relation_pattern
from easyr1_fgrpo.miniature.scene import (
    COLOURS,
    OPPOSITE,
    RELATIONS,
    Axis,
    Relation,
    Scene,
    Thing,
    clear,
    draw_scene,
    holds,
    relation_between,
)

ASKED = COLOURS[:3]
RED, BLUE, GREEN = ASKED
AXES = (Axis.HORIZONTAL, Axis.VERTICAL)

WRONG_PICK = 0.25
"""How often the noisy teacher picks the other one of red and blue."""
FLIP = {Axis.HORIZONTAL: 0.2, Axis.VERTICAL: 0.65}
"""How often it then states the opposite of how the picked one stands to green."""
CONFLICT = 0.5

_KINDS = {f"{wanted}_{axis}": (wanted, axis) for wanted in RELATIONS[Axis.DEPTH] for axis in AXES}
QUESTIONS: dict[str, str] = {
    kind: f"Of the {RED} and the {BLUE}, is the {wanted} one {RELATIONS[axis][0]} or"
    f" {LINK[RELATIONS[axis][1]]} the {GREEN}?"
    for kind, (wanted, axis) in _KINDS.items()
}
QUESTION = re.compile(
    rf"\bof the {RED} and the {BLUE}, is the {one_of(RELATIONS[Axis.DEPTH], 'wanted')} one\b", re.IGNORECASE
)
PHRASES: tuple[str, ...] = (f"Of the {RED} and the {BLUE},", " is the")
WORDS: tuple[str, ...] = (*PHRASES, " one", " or", "?")
NAMES: tuple[str, ...] = COLOURS

_RELATION = relation_pattern(COLOUR)


@dataclass(frozen=True)
class TwoStep(Example):
    """A question like "Of the red and the blue, is the nearer one left or right of the green?".

    Attributes:
        wanted: which of red and blue is asked about, the nearer or the farther one.
    """

    wanted: Relation

    world = "miniature_two_step"
    noise = Noise(wrong_box=0.1, right_after_wrong=0.25, answer=0.01)

    @property
    def type(self) -> str:
        """What is picked and on which axis it is placed."""
        return f"{self.wanted}_{self.axis}"

    @property
    def question(self) -> str:
        """As `QUESTIONS`."""
        return QUESTIONS[self.type]

    @property
    def spoken(self) -> Scene:
        """The scene without shapes: things are called by their colours."""
        return tuple(replace(thing, shape="") for thing in self.scene)

    @property
    def asked(self) -> Scene:
        """Red, blue and green."""
        return of_colours(self.spoken, ASKED)

    @property
    def steps(self) -> Steps:
        """The right pick, and how it stands to green."""
        red, blue, _ = self.asked
        return self._argue(red if holds(red, self.wanted, blue) else blue)

    def mistaken_steps(self, rng: np.random.Generator) -> Steps:
        """Sometimes the wrong pick, and then sometimes the opposite relation."""
        red, blue, _ = self.asked
        right = self.steps[0].first
        wrong = blue if right == red else red
        pick, last = self._argue(wrong if rng.random() < WRONG_PICK else right)
        return (pick, last.flipped() if rng.random() < FLIP[self.axis] else last)

    def _argue(self, picked: Thing) -> Steps:
        """The pick, right or wrong, and how the picked thing really stands to green."""
        red, blue, green = self.asked
        other = blue if picked == red else red
        return (
            Step(picked, self.wanted, other),
            Step(picked, relation_between(picked, self.axis, green), green),
        )


def ask(scene: Scene, kind: str) -> TwoStep:
    """The question of a type about a scene on which it is clear."""
    wanted, axis = _KINDS[kind]
    red, blue, green = of_colours(scene, ASKED)
    picked = red if holds(red, wanted, blue) else blue
    return TwoStep(scene, axis, relation_between(picked, axis, green), wanted)


def draw_example(rng: np.random.Generator) -> TwoStep:
    """A random scene with a clear question; red and blue lie on opposite sides of green in half of all scenes."""
    kind = list(QUESTIONS)[rng.integers(len(QUESTIONS))]
    conflict = bool(rng.random() < CONFLICT)
    while True:
        scene = draw_scene(rng, len(ASKED))
        if _clear(scene, _KINDS[kind][1]) and in_conflict(example := ask(scene, kind)) is conflict:
            return example


def in_conflict(example: TwoStep) -> bool:
    """Whether the other one of red and blue would lead to the other answer."""
    red, blue, green = example.asked
    return relation_between(red, example.axis, green) is not relation_between(blue, example.axis, green)


def judge_consistency(question: str, trace: str, answer: str) -> Label:
    """Whether the trace argues to the answer, which is in lower case, step by step.

    YES when the last conclusion equals the answer, the last relation of red or blue to green is the answer too, and it
    is about the one that the trace picked last. NO when one of them speaks against the answer or against the pick,
    UNCERTAIN when the pick or the relation is missing. Without a conclusion the last relation is one.
    """
    asked = QUESTION.search(question)
    wanted = asked["wanted"].lower() if asked else ""
    said = list(all_said(_RELATION, trace))
    picks = [pick for item in said if (pick := _picked(item, wanted))]
    placed = [place for item in said if (place := _placed(item))]
    concluded = conclusions(trace) or [place[1] for place in placed]
    if not concluded or (concluded[-1] not in OPPOSITE):
        return Label.UNCERTAIN
    if concluded[-1] != answer or (placed and placed[-1][1] != answer):
        return Label.NO
    if not placed or not picks:
        return Label.UNCERTAIN
    return Label.YES if placed[-1][0] == picks[-1] else Label.NO


def _picked(said: Said, wanted: str) -> str:
    """The colour that a sentence picks; "" when it compares something else."""
    if {said.first, said.second} != {RED, BLUE} or said.relation not in RELATIONS[Axis.DEPTH]:
        return ""
    return said.first if said.relation == wanted else said.second


def _placed(said: Said) -> tuple[str, Relation] | None:
    """Red or blue and how it is said to stand to green; None when a sentence says something else."""
    if said.second == GREEN and said.first in (RED, BLUE):
        return said.first, said.relation
    if said.first == GREEN and said.second in (RED, BLUE):
        return said.second, OPPOSITE[said.relation]
    return None


def _clear(scene: Scene, axis: Axis) -> bool:
    red, blue, green = of_colours(scene, ASKED)
    return clear(red, Axis.DEPTH, blue) and clear(red, axis, green) and clear(blue, axis, green)
