"""What the policy is asked: one instruction for supervised traces, RL and evaluation.

The same words everywhere, so that a model is measured on what it was trained for.
"""

from __future__ import annotations

from collections.abc import Sequence

from easyr1_fgrpo.rows import IMAGE_MARK

INSTRUCTION = (
    "You are shown one or more images and a question about them. Reason step by step inside <think> and </think>. "
    "Ground each step in what is visible: where a step relies on an object or a region, give its box as "
    "<bbox>[x1,y1,x2,y2]</bbox>. Then give the final answer inside <answer> and </answer> and stop. When options are "
    "listed, the answer is the text of exactly one of them."
)
"""The system turn. It names no unit for boxes: each model keeps the convention it was pretrained with."""


def user_text(question: str, choices: Sequence[str], n_images: int) -> str:
    """The user turn: image marks, the question, and the options as `A. text` lines.

    Args:
        question: without options and without image marks.
        choices: the options' texts in order; empty for a free answer.
        n_images: how many images the row has; all stand before the text.
    """
    options = [f"{chr(ord('A') + index)}. {text}" for index, text in enumerate(choices)]
    return IMAGE_MARK * n_images + "\n".join([question, *options])


def prompt_messages(question: str, choices: Sequence[str], n_images: int) -> list[dict[str, str]]:
    """The column `prompt` of a row: system and user turn. Arguments as in `user_text`."""
    return [
        {"role": "system", "content": INSTRUCTION},
        {"role": "user", "content": user_text(question, choices, n_images)},
    ]
