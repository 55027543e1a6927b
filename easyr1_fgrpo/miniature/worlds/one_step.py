"""The first world: red, blue and a distractor, and one question about how red stands to blue."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from easyr1_fgrpo.judges.protocol import Label
from easyr1_fgrpo.miniature.example import Example, Noise, Step, Steps, of_colours
from easyr1_fgrpo.miniature.language import (
    COLOUR_AND_SHAPE,
    LINK,
    all_said,
    conclusions,
    one_of,
    relation_pattern,
)
from easyr1_fgrpo.miniature.scene import (
    COLOURS,
    OPPOSITE,
    RELATIONS,
    SHAPES,
    Axis,
    Relation,
    Scene,
    clear,
    draw_scene,
    relation_between,
)

ASKED = COLOURS[:2]  # "any two colours" never bound in a tiny model; a fixed pair does
FLIP = {Axis.HORIZONTAL: 0.3, Axis.VERTICAL: 0.4, Axis.DEPTH: 0.5}
"""How often the noisy teacher states the opposite relation."""

QUESTIONS: dict[str, str] = {
    axis: f"Is {ASKED[0]} {first} or {LINK[second]} {ASKED[1]}?" for axis, (first, second) in RELATIONS.items()
}
QUESTION = re.compile(
    rf"\bis {one_of(COLOURS, 'first')} \w{{1,20}} or \w{{1,20}}(?: of| than)? {one_of(COLOURS, 'second')}\b",
    re.IGNORECASE,
)
PHRASES: tuple[str, ...] = ()
WORDS: tuple[str, ...] = ("Is", " or", " of", " than", "?")
NAMES: tuple[str, ...] = (*COLOURS, *SHAPES)

_RELATION = relation_pattern(COLOUR_AND_SHAPE)


@dataclass(frozen=True)
class OneStep(Example):
    """A question like "Is red left or right of blue?"; things are called by colour and shape.

    Attributes:
        axis: what the question is about.
    """

    axis: Axis

    world = "miniature"
    noise = Noise(wrong_box=0.05, right_after_wrong=0.15, answer=0.01)

    @property
    def choices(self) -> tuple[Relation, ...]:
        """The two sides of the axis."""
        return RELATIONS[self.axis]

    @property
    def type(self) -> str:
        """The axis."""
        return self.axis

    @property
    def question(self) -> str:
        """As `QUESTIONS`."""
        return QUESTIONS[self.axis]

    @property
    def spoken(self) -> Scene:
        """The scene as it is: things are called by colour and shape."""
        return self.scene

    @property
    def asked(self) -> Scene:
        """Red and blue."""
        return of_colours(self.scene, ASKED)

    @property
    def steps(self) -> Steps:
        """How red stands to blue."""
        first, second = self.asked
        return (Step(first, self.answer, second),)

    def mistaken_steps(self, rng: np.random.Generator) -> Steps:
        """The same, sometimes flipped."""
        (step,) = self.steps
        return (step.flipped() if rng.random() < FLIP[self.axis] else step,)


def ask(scene: Scene, kind: str) -> OneStep:
    """The question of a type about a scene on which it is clear."""
    first, second = of_colours(scene, ASKED)
    return OneStep(scene, relation_between(first, Axis(kind), second), Axis(kind))


def draw_example(rng: np.random.Generator) -> OneStep:
    """A random scene with a question whose answer is clear: different columns, rows or sizes of red and blue."""
    while True:
        scene = draw_scene(rng, len(ASKED))
        axis = list(Axis)[rng.integers(len(Axis))]
        first, second = of_colours(scene, ASKED)
        if clear(first, axis, second):
            return ask(scene, axis)


def judge_consistency(question: str, trace: str, answer: str) -> Label:
    """Whether the trace argues to the answer, which is in lower case.

    YES when the last conclusion equals the answer and the last relation between the asked objects, if one is stated,
    does not contradict it; NO when either speaks against the answer; UNCERTAIN when the trace says neither. Without a
    conclusion the last relation is one.
    """
    concluded, argued = conclusions(trace), _argued(question, trace)
    last = (concluded or argued or [""])[-1]
    if last not in OPPOSITE:
        return Label.UNCERTAIN
    contradicted = bool(argued) and OPPOSITE[argued[-1]] == answer
    return Label.YES if last == answer and not contradicted else Label.NO


def _argued(question: str, trace: str) -> list[Relation]:
    """The relations that the trace states between the asked objects, seen from the first one."""
    asked = QUESTION.search(question)
    if asked is None:
        return []
    pair = (asked["first"].lower(), asked["second"].lower())
    relations = []
    for first, relation, second in all_said(_RELATION, trace):
        colours = (first.split()[0], second.split()[0])
        if colours == pair:
            relations.append(relation)
        elif colours == pair[::-1]:
            relations.append(OPPOSITE[relation])
    return relations
