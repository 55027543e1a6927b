"""How the world is written and read: questions, the sentences of a trace, the response."""

from __future__ import annotations

import re
from collections.abc import Iterable

from easyr1_fgrpo.miniature.world import ASKED, COLOURS, RELATIONS, SHAPES, Axis, Box, Relation, Thing

LINK = {
    Relation.LEFT: "left of",
    Relation.RIGHT: "right of",
    Relation.ABOVE: "above",
    Relation.BELOW: "below",
    Relation.NEARER: "nearer than",
    Relation.FARTHER: "farther than",
}


def question(axis: Axis) -> str:
    """The question with both options in it, e.g. "Is red left or right of blue?"."""
    first, second = RELATIONS[axis]
    return f"Is {ASKED[0]} {first} or {LINK[second]} {ASKED[1]}?"


def box_sentence(thing: Thing, box: Box) -> str:
    """Where an object is said to be."""
    return f"The {thing.colour} {thing.shape} is at <bbox>[{','.join(map(str, box))}]</bbox>."


def relation_sentence(first: Thing, relation: Relation, second: Thing) -> str:
    """How two objects are said to stand to each other."""
    return f"The {first.colour} {first.shape} is {LINK[relation]} the {second.colour} {second.shape}."


def conclusion(relation: Relation) -> str:
    """The last sentence of a trace."""
    return f"So the answer is {relation}."


def response(sentences: list[str], answer: Relation) -> str:
    """A whole response from the sentences of its trace."""
    return f"<think>{' '.join(sentences)}</think>{direct(answer)}"


def direct(answer: Relation) -> str:
    """An answer without a trace."""
    return f"<answer>{answer}</answer>"


def _one_of(name: str, words: Iterable[str]) -> str:
    return f"(?P<{name}>{'|'.join(words)})"


# Reading is for text with single spaces. Every repetition is bounded, so hostile text costs linear time.
_NUMBER = r"-?\d{1,6}(?:\.\d{1,6})?"
_BOX = ", ?".join(f"(?P<{corner}>{_NUMBER})" for corner in ("x1", "y1", "x2", "y2"))
_RELATION = f"{_one_of('relation', Relation)}(?: of| than)?"

QUESTION = re.compile(
    rf"\bis {_one_of('first', COLOURS)} \w{{1,20}} or \w{{1,20}}(?: of| than)? {_one_of('second', COLOURS)}\b",
    re.IGNORECASE,
)
BOX_SENTENCE = re.compile(
    rf"the {_one_of('colour', COLOURS)} {_one_of('shape', SHAPES)} is at <bbox>\[{_BOX}\]</bbox>", re.IGNORECASE
)
RELATION_SENTENCE = re.compile(
    rf"(?:so )?the {_one_of('first_colour', COLOURS)} {_one_of('first_shape', SHAPES)} is {_RELATION}"
    rf" the {_one_of('second_colour', COLOURS)} {_one_of('second_shape', SHAPES)}\b",
    re.IGNORECASE,
)
CONCLUSION = re.compile(r"\b(?:so )?the (?:final )?answer is:? (?P<answer>[a-z]{1,20})\b", re.IGNORECASE)
VISUAL = re.compile(rf"\b(?:{'|'.join((*COLOURS, *SHAPES, *Relation))})\b|bbox|\d", re.IGNORECASE)
