"""Words that can be exchanged for others, so that a true sentence becomes a false one. English, of any dataset."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

# Kinds of things, one line each. Any two entries of a line are told apart at a glance; words of one entry (a/b) are
# not exchanged for each other. First words are what others are replaced by.
_OBJECTS = """
circle square triangle star cylinder cube sphere
dog/puppy cat/kitten horse/pony cow lamb/sheep pig bird/duck zebra/giraffe bear elephant
car/taxi tram/bus truck/van bicycle/bike motorcycle/scooter boat/ship train plane/airplane
chair/stool/bench table/desk sofa/couch/armchair bed lamp cabinet/drawer/cupboard/shelf
cup/mug bowl plate fork spatula/knife spoon bottle/jar
banana apple carrot cake/pie burger/sandwich pizza
hat/cap/helmet shirt/sweater jacket/coat scarf/tie shoe/boot/sneaker glove
laptop/computer phone/smartphone camera clock/watch television/tv/monitor keyboard
window door fence bridge tree/bush
ball/balloon kite skateboard/surfboard umbrella backpack/bag/suitcase book
"""
_COLOURS = """
red/orange/pink/brown/maroon yellow/gold/golden/beige green blue/purple/violet/navy/cyan/turquoise/teal black
white/silver/gray/grey
"""


@dataclass(frozen=True)
class Exchange:
    """Words of one kind.

    Attributes:
        entry: for every word, the number of its entry.
        replacements: for every entry, the words that may stand for it.
    """

    entry: dict[str, int]
    replacements: tuple[tuple[str, ...], ...]

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Finds any of the words, with its article and its plural s."""
        words = "|".join(sorted(self.entry, key=len, reverse=True))
        return re.compile(rf"\b(?P<article>an? )?(?P<word>{words})(?P<plural>s?)\b", re.IGNORECASE)


def _exchange(lines: list[str]) -> Exchange:
    """Reads lines of entries; a word may give way to the first word of any other entry of its line."""
    entry: dict[str, int] = {}
    replacements: list[tuple[str, ...]] = []
    for line in lines:
        entries = [words.split("/") for words in line.split()]
        for words in entries:
            entry |= dict.fromkeys(words, len(replacements))
            replacements.append(tuple(other[0] for other in entries if other is not words))
    return Exchange(entry, tuple(replacements))


OBJECTS = _exchange(_OBJECTS.strip().splitlines())
COLOURS = _exchange([" ".join(_COLOURS.split())])


@dataclass(frozen=True)
class Opposites:
    """Two sides of one property: patterns of each with what says the opposite.

    A sentence that speaks of both sides may stay true when its words change places, so it is left alone.
    """

    one: dict[str, str]
    other: dict[str, str]


# "left" and "right" mean more than positions ("the right answer", "he left"): only these surroundings make them one.
_PART = r"[ -](?:of|side|half|hand|edge|corner|part|end|third|wall|lane|arm|leg|eye|foot)\b"
_ALONE = r"\s*(?:[.,;:!?)]|$)|\s(?:is|are|in|from|and|while|with|at)\b"


def _place(word: str) -> str:
    """The word where it is a position: "left of", "the left.", "top-left"."""
    corners = "|".join(rf"(?<=\b{end}[ -]){word}" for end in ("top", "bottom", "upper", "lower"))
    return rf"{word}(?={_PART})|(?<=\bthe ){word}(?={_ALONE})|{corners}"


_END = r"(?=[ -](?:of|left|right|half|edge|corner|part|row|shelf|drawer|third|center|centre)\b)"
_VERTICAL_ALONE = r"(?=\s*(?:[.,;:!?)]|$))"

LEFT_RIGHT = (
    Opposites(
        {_place("left"): "right", "leftmost": "rightmost"},
        {_place("right"): "left", "rightmost": "leftmost"},
    ),
)
ABOVE_BELOW = (
    Opposites(
        {
            "above": "below",
            "on top of": "underneath",
            f"top{_END}|(?<=the )top{_VERTICAL_ALONE}": "bottom",
            f"upper{_END}": "lower",
            "topmost": "bottommost",
        },
        {
            "below": "above",
            "underneath": "on top of",
            "beneath": "above",
            "under(?= (?:the|a|an|it)\\b)": "on top of",
            f"bottom{_END}|(?<=the )bottom{_VERTICAL_ALONE}": "top",
            f"lower{_END}": "upper",
            "bottommost": "topmost",
        },
    ),
)
NEARER_FARTHER = (
    Opposites(
        {
            "in front of": "behind",
            "(?:nearer|closer) to": "farther from",
            "(?:nearer|closer)(?! to)": "farther",
            "nearest|closest": "farthest",
            "foreground": "background",
            "next to|close to": "far from",
        },
        {
            "behind": "in front of",
            "(?:farther|further)(?: away)? from": "nearer to",
            "(?:farther|further)(?: away)?(?! (?:away|from))": "nearer",
            "farthest|furthest": "nearest",
            "background": "foreground",
            "far(?: away)? from": "close to",
        },
    ),
)
ATTRIBUTES = (
    Opposites({"big|large|huge": "small"}, {"small|tiny|little": "large"}),
    Opposites({"bigger|larger": "smaller"}, {"smaller": "larger"}),
    Opposites({"biggest|largest": "smallest"}, {"smallest": "largest"}),
    Opposites({"tall": "short"}, {"short": "tall"}),
    Opposites({"taller": "shorter"}, {"shorter": "taller"}),
    Opposites({"thick|wide": "narrow"}, {"thin|narrow": "wide"}),
    Opposites({"opened|open": "closed"}, {"closed|shut": "open"}),
    Opposites({"full": "empty"}, {"empty": "full"}),
    Opposites({"bright": "dark"}, {"dark": "bright"}),
    Opposites({"wooden": "metal"}, {"metal|metallic": "wooden"}),
    Opposites({"standing": "sitting"}, {"sitting|seated": "standing"}),
    Opposites({"young": "old"}, {"old": "young"}),
    Opposites({"striped|patterned": "plain"}, {"plain": "striped"}),
    Opposites({"horizontal": "vertical"}, {"vertical": "horizontal"}),
    Opposites({"horizontally": "vertically"}, {"vertically": "horizontally"}),
    Opposites({"inside": "outside"}, {"outside": "inside"}),
    Opposites({"two": "five"}, {"five": "two"}),
    Opposites({"three": "seven"}, {"seven": "three"}),
    Opposites({"four": "nine"}, {"nine": "four"}),
)
