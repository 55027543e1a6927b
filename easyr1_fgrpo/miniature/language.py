"""How the worlds are written and read: the sentences of a trace and the response around them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from easyr1_fgrpo.miniature.example import Step
from easyr1_fgrpo.miniature.scene import COLOURS, OPPOSITE, SHAPES, Box, Relation, Thing

LINK = {
    Relation.LEFT: "left of",
    Relation.RIGHT: "right of",
    Relation.ABOVE: "above",
    Relation.BELOW: "below",
    Relation.NEARER: "nearer than",
    Relation.FARTHER: "farther than",
}


# ---------------------------------------------------------------------- writing


def trace(asked: Sequence[Thing], steps: Sequence[Step], boxes: Mapping[Thing, Box] | None = None) -> list[str]:
    """The sentences of a trace: each step after the boxes of what it speaks of, in the end the conclusion.

    Args:
        asked: the things that are given a box, in their order.
        steps: the claims.
        boxes: where things are said to be; where they are, when left out.
    """
    sentences, located = [], set()
    for step in steps:
        for thing in asked:
            if thing in (step.first, step.second) and thing not in located:
                sentences.append(box_sentence(thing, boxes[thing] if boxes else thing.box))
                located.add(thing)
        sentences.append(relation_sentence(step.first, step.relation, step.second))
    return [*sentences, conclusion(steps[-1].relation)]


def box_sentence(thing: Thing, box: Box) -> str:
    """Where an object is said to be."""
    return f"The {thing.name} is at <bbox>[{','.join(map(str, box))}]</bbox>."


def relation_sentence(first: Thing, relation: Relation, second: Thing) -> str:
    """How two objects are said to stand to each other."""
    return f"The {first.name} is {LINK[relation]} the {second.name}."


def conclusion(relation: Relation) -> str:
    """The last sentence of a trace."""
    return f"So the answer is {relation}."


def response(sentences: list[str], answer: Relation) -> str:
    """A whole response from the sentences of its trace."""
    return f"{thought(sentences)}{direct(answer)}"


def thought(sentences: list[str]) -> str:
    """A response up to its answer."""
    return f"<think>{' '.join(sentences)}</think>"


def direct(answer: Relation) -> str:
    """An answer without a trace."""
    return f"<answer>{answer}</answer>"


# ---------------------------------------------------------------------- reading
# For text with single spaces. Every repetition is bounded, so hostile text costs linear time.


class Said(NamedTuple):
    """A relation as a trace states it; things by what they are called, in lower case."""

    first: str
    relation: Relation
    second: str


def one_of(words: Iterable[str], name: str = "") -> str:
    """A pattern of alternatives, as a named group when it has a name."""
    return f"({f'?P<{name}>' if name else '?:'}{'|'.join(words)})"


def relation_pattern(thing: str) -> re.Pattern[str]:
    """Reads a relation sentence between things that are called as the pattern `thing` says."""
    return re.compile(
        rf"(?:so )?the (?P<first>{thing}) is {one_of(Relation, 'relation')}(?: of| than)?"
        rf" the (?P<second>{thing})\b",
        re.IGNORECASE,
    )


def said(match: re.Match[str]) -> Said | None:
    """What a match of `relation_pattern` says; None for letters that only look like those of a relation."""
    word = match["relation"].lower()
    return Said(match["first"].lower(), Relation(word), match["second"].lower()) if word in OPPOSITE else None


def all_said(pattern: re.Pattern[str], text: str) -> Iterator[Said]:
    """Every relation that a text states."""
    return (found for match in pattern.finditer(text) if (found := said(match)) is not None)


def conclusions(text: str) -> list[str]:
    """Every word that a text calls the answer, in lower case."""
    return [match["answer"].lower() for match in CONCLUSION.finditer(text)]


COLOUR = one_of(COLOURS)
COLOUR_AND_SHAPE = f"{COLOUR} {one_of(SHAPES)}"
_NAME = f"{COLOUR}(?: {one_of(SHAPES)})?"
_NUMBER = r"-?\d{1,6}(?:\.\d{1,6})?"
_BOX = ", ?".join(f"(?P<{corner}>{_NUMBER})" for corner in ("x1", "y1", "x2", "y2"))

BOX_SENTENCE = re.compile(rf"the (?P<name>{_NAME}) is at <bbox>\[{_BOX}\]</bbox>", re.IGNORECASE)
RELATION_SENTENCE = relation_pattern(_NAME)
CONCLUSION = re.compile(r"\b(?:so )?the (?:final )?answer is:? (?P<answer>[a-z]{1,20})\b", re.IGNORECASE)
VISUAL = re.compile(rf"\b{one_of((*COLOURS, *SHAPES, *Relation))}\b|bbox|\d", re.IGNORECASE)
