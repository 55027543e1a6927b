"""Traces for supervised training: clean ones, and the noisy ones that the warm start imitates.

The noise is what reinforcement learning later has to cope with: reasoning that is often wrong, and now and then a right
answer after a wrong conclusion. That shortcut is what plain GRPO amplifies.
"""

from __future__ import annotations

import numpy as np

from easyr1_fgrpo.miniature import language
from easyr1_fgrpo.miniature.world import OPPOSITE, SIDE, STEP, Axis, Box, Example

WRONG_BOX = 0.05
FLIP = {Axis.HORIZONTAL: 0.3, Axis.VERTICAL: 0.4, Axis.DEPTH: 0.5}
RIGHT_AFTER_FLIP = 0.15
ANSWER_NOISE = 0.01

ANSWER_ONLY = 0.2
CUT_SHORT = 0.3


def clean_trace(example: Example) -> list[str]:
    """Both boxes, the relation and the conclusion, all true."""
    first, second = example.asked
    return [
        language.box_sentence(first, first.box),
        language.box_sentence(second, second.box),
        language.relation_sentence(first, example.answer, second),
        language.conclusion(example.answer),
    ]


def backbone_response(example: Example, rng: np.random.Generator) -> str:
    """What the backbone learns from: always true, the trace whole, cut short or left out.

    The short ones teach the answer to read the picture itself: without that no reward could be earned unfaithfully.
    """
    kind = rng.random()
    if kind < ANSWER_ONLY:
        return language.direct(example.answer)
    trace = clean_trace(example)
    kept = int(rng.integers(1, len(trace))) if kind < ANSWER_ONLY + CUT_SHORT else len(trace)
    return language.response(trace[:kept], example.answer)


def noisy_response(example: Example, rng: np.random.Generator) -> str:
    """A trace that errs: in a box, in the relation and its conclusion, and rarely in an answer that follows neither."""
    first, second = example.asked
    flipped = rng.random() < FLIP[example.axis]
    claimed = OPPOSITE[example.answer] if flipped else example.answer
    answer = example.answer if flipped and rng.random() < RIGHT_AFTER_FLIP else claimed
    if rng.random() < ANSWER_NOISE:
        answer = OPPOSITE[answer]
    trace = [
        language.box_sentence(thing, _wrong_box(thing.box, rng) if rng.random() < WRONG_BOX else thing.box)
        for thing in (first, second)
    ]
    trace += [language.relation_sentence(first, claimed, second), language.conclusion(claimed)]
    return language.response(trace, answer)


def _wrong_box(box: Box, rng: np.random.Generator) -> Box:
    """A box of the same size elsewhere, without overlap with the true one."""
    size = box[2] - box[0]
    while True:
        x, y = (STEP * int(rng.integers((SIDE - size) // STEP + 1)) for _ in range(2))
        if max(abs(x - box[0]), abs(y - box[1])) >= size:
            return (x, y, x + size, y + size)
