"""What the worlds with two steps share: pick the nearer or the farther of red and blue, then place it from green.

Things are called by their colours alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from easyr1_fgrpo.judges.protocol import Label
from easyr1_fgrpo.miniature.example import Example, Step, Steps, of_colours
from easyr1_fgrpo.miniature.language import COLOUR, Said, all_said, conclusions, relation_pattern
from easyr1_fgrpo.miniature.scene import AXIS, COLOURS, OPPOSITE, RELATIONS, Axis, Relation, Scene, Thing, holds

ASKED = COLOURS[:3]
RED, BLUE, GREEN = ASKED
PICKS = RELATIONS[Axis.DEPTH]

_RELATION = relation_pattern(COLOUR)


@dataclass(frozen=True)
class PickAndPlace(Example):
    """A question about where the nearer or the farther one of red and blue is from green.

    Attributes:
        wanted: which of red and blue is asked about, the nearer or the farther one.
        wrong_pick: how often the noisy teacher picks the other one.
        wrong_place: how often it then says another option than where the picked one is, by the axis of that.
    """

    wanted: Relation

    wrong_pick: ClassVar[float]
    wrong_place: ClassVar[Mapping[Axis, float]]

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
        return self._argue(picked(self.spoken, self.wanted))

    def mistaken_steps(self, rng: np.random.Generator) -> Steps:
        """Sometimes the wrong pick, and then sometimes another option than where that one is."""
        right, other = self.steps[0].first, self.steps[0].second
        pick, place = self._argue(other if rng.random() < self.wrong_pick else right)
        if rng.random() < self.wrong_place[AXIS[place.relation]]:
            place = replace(place, relation=self.other_choice(place.relation, rng))
        return (pick, place)

    def place(self, thing: Thing) -> Relation:
        """The option that is true of red or blue."""
        return next(choice for choice in self.choices if holds(thing, choice, self.asked[2]))

    def _argue(self, thing: Thing) -> Steps:
        """The pick, right or wrong, and how the picked thing really stands to green."""
        red, blue, green = self.asked
        return (
            Step(thing, self.wanted, blue if thing == red else red),
            Step(thing, self.place(thing), green),
        )


def picked(scene: Scene, wanted: Relation) -> Thing:
    """The one of red and blue that is asked about."""
    red, blue = of_colours(scene, (RED, BLUE))
    return red if holds(red, wanted, blue) else blue


def in_conflict(example: PickAndPlace) -> bool:
    """Whether the other one of red and blue would lead to another answer."""
    red, blue, _ = example.asked
    return example.place(red) is not example.place(blue)


def judge(asked: re.Match[str] | None, trace: str, answer: str) -> Label:
    """Whether the trace argues to the answer, which is in lower case, step by step.

    YES when the last conclusion equals the answer, the last relation of red or blue to green is the answer too, and it
    is about the one that the trace picked last. NO when one of them speaks against the answer or against the pick,
    UNCERTAIN when the pick or the relation is missing. Without a conclusion the last relation is one.

    Args:
        asked: where the question was read, with a group `wanted`; None when it is no question of the world.
        trace: single-spaced.
        answer: in lower case.
    """
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
    if {said.first, said.second} != {RED, BLUE} or said.relation not in PICKS:
        return ""
    return said.first if said.relation == wanted else said.second


def _placed(said: Said) -> tuple[str, Relation] | None:
    """Red or blue and how it is said to stand to green; None when a sentence says something else."""
    if said.second == GREEN and said.first in (RED, BLUE):
        return said.first, said.relation
    if said.first == GREEN and said.second in (RED, BLUE):
        return said.second, OPPOSITE[said.relation]
    return None
