"""Traces as sentences, and the filter that spares the grounding judge sentences without a visual claim (FGRPO A.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from easyr1_fgrpo.rewards.sentence_ends import ONLY_BOXES, sentence_spans

_OPENINGS = """
let me;let's;let us;to answer;to determine;to solve;to figure;i need to;i will;i'll;i should;i have to;i think;i guess
i believe;i am going to;i'm going to;i'm not sure;we need to;we should;we will;we have to;first;firstly;second;secondly
third;thirdly;next;then;now;finally;lastly;therefore;thus;hence;so;consequently;as a result;in conclusion;in summary
overall;wait;hmm;hm;okay;ok;alright;well;actually;maybe;perhaps;this means;that means;the answer;the final answer
the correct answer;my answer
"""
_META = re.compile(rf"[\W\d_]*+(?:{'|'.join(_OPENINGS.strip().replace(chr(10), ';').split(';'))})\b", re.IGNORECASE)

_VISUAL_WORDS = """
red orange yellow green blue purple violet pink brown black white gray grey silver gold golden beige tan cyan
magenta turquoise navy maroon color colour colored coloured dark bright striped transparent
left right above below behind front beside between under underneath beneath over top bottom upper lower middle
center centre corner edge side inside outside near nearer nearest close closer closest far farther farthest further
furthest away distance adjacent opposite facing across along around foreground background horizontal vertical
horizontally vertically leftmost rightmost topmost bottommost north south east west coordinate pixel
big bigger biggest large larger largest small smaller smallest tall taller tallest short shorter shortest wide wider
narrow long longer high higher low size shape round
see seen visible show shown depict located positioned placed standing sitting wearing holding
object circle square triangle rectangle cube sphere cylinder star line arrow text letter sign label logo
person people man men woman women child children boy girl baby hand head face hair hat shirt coat shoe glasses
dog cat bird horse cow sheep animal car truck bus bike bicycle motorcycle train boat plane airplane vehicle wheel
road street sidewalk building house room door window wall floor ceiling roof stair table desk chair sofa couch bed
pillow lamp light shelf cabinet drawer counter sink toilet fridge refrigerator oven microwave stove television tv
screen monitor laptop computer keyboard mouse phone camera clock book bag box bottle cup mug glass bowl plate knife
fork spoon food fruit apple banana ball toy flower plant tree grass leaf sky cloud sun water river sea beach
mountain hill field fence pole bridge
"""
_VISUAL = frozenset(_VISUAL_WORDS.split())
_NO_WORD = re.compile(r"(?:[\W\d_]*+(?:[A-Za-z](?![^\W\d_])[.):]?+[\W\d_]*+)?+|\W*```[\w-]*+\s*+)")
_WORD = re.compile(r"[a-z]+")
_PHRASE = re.compile(r"<bbox>|<\|box_start\|>|\bbbox_2d\b|\[\s*\d|\bnext to\b|\bthere (?:is|are)\b")


@dataclass(frozen=True)
class Sentence:
    """One sentence of a trace: `trace[start:end] == text`; `trivial` ones are never put to a judge."""

    text: str
    start: int
    end: int
    trivial: bool


def split_sentences(trace: str) -> list[Sentence]:
    """Split a trace into sentences, in order, blank ones left out.

    See `easyr1_fgrpo.rewards.sentence_ends`. A closed `<bbox>` tag is never cut.

    Args:
        trace: any string.

    Returns:
        The sentences without surrounding white space; their offsets are characters of `trace`.
    """
    sentences = []
    for start, end in sentence_spans(trace):
        piece = trace[start:end]
        text = piece.strip()
        if text:
            start += len(piece) - len(piece.lstrip())
            sentences.append(Sentence(text, start, start + len(text), is_trivial(text)))
    return sentences


def is_trivial(sentence: str) -> bool:
    """Whether a sentence is planning or meta talk without any visual claim.

    It is when it opens like planning, hedging or concluding ("Let me", "Therefore", "Wait"), or has no word at all, as
    a box alone. With a visual word in it, the judge decides, with SKIP.
    """
    if ONLY_BOXES.fullmatch(sentence):
        return True
    lowered = sentence.lower()
    if _PHRASE.search(lowered):
        return False
    if any(word in _VISUAL or word.removesuffix("s") in _VISUAL for word in _WORD.findall(lowered)):
        return False
    return _META.match(sentence) is not None or _NO_WORD.fullmatch(sentence) is not None
