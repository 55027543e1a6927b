"""Traces for supervised training: true ones, and the noisy ones that the warm start imitates.

The noise is what reinforcement learning later has to cope with: reasoning that is often wrong, and now and then a right
answer after a wrong conclusion. That shortcut is what plain GRPO amplifies.
"""

from __future__ import annotations

import numpy as np

from easyr1_fgrpo.miniature import language
from easyr1_fgrpo.miniature.example import Example
from easyr1_fgrpo.miniature.scene import SIDE, STEP, Box

ANSWER_ONLY = 0.2
CUT_SHORT = 0.3


def clean_trace(example: Example) -> list[str]:
    """All boxes, all steps and the conclusion, all true."""
    return language.trace(example.asked, example.steps)


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
    """A trace that errs: in boxes, in its steps, and rarely in an answer that does not follow from them."""
    noise = example.noise
    steps = example.mistaken_steps(rng)
    concluded = steps[-1].relation
    saved = concluded is not example.answer and rng.random() < noise.right_after_wrong
    answer = example.answer if saved else concluded
    if rng.random() < noise.answer:
        answer = example.other_choice(answer, rng)
    boxes = {
        thing: _wrong_box(thing.box, rng) if rng.random() < noise.wrong_box else thing.box for thing in example.asked
    }
    return language.response(language.trace(example.asked, steps, boxes), answer)


def _wrong_box(box: Box, rng: np.random.Generator) -> Box:
    """A box of the same size elsewhere, without overlap with the true one."""
    size = box[2] - box[0]
    while True:
        x, y = (STEP * int(rng.integers((SIDE - size) // STEP + 1)) for _ in range(2))
        if max(abs(x - box[0]), abs(y - box[1])) >= size:
            return (x, y, x + size, y + size)
