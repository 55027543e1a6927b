"""Examples as the rows that verl reads: questions for RL, conversations for the supervised warm start."""

from __future__ import annotations

from typing import Any

from easyr1_fgrpo.miniature.example import Example
from easyr1_fgrpo.miniature.scene import SIDE


def question_row(example: Example, picture: bytes, *, split: str, index: int) -> dict[str, Any]:
    """A row with one question; every second one has ground-truth boxes (xyxy, raw pixels), the others an empty list."""
    return {
        "data_source": example.world,
        "prompt": [_user(example.question)],
        "images": [{"bytes": picture}],
        "reward_model": {"style": "rule", "ground_truth": str(example.answer)},
        "extra_info": {
            "index": index,
            "split": split,
            "question": example.question,
            "choices": [str(relation) for relation in example.choices],
            "source": example.world,
            "boxes": [list(thing.box) for thing in example.asked] if index % 2 == 0 else [],
            "width": SIDE,
            "height": SIDE,
        },
    }


def conversation_row(example: Example, picture: bytes, response: str) -> dict[str, Any]:
    """A row with a question and the response to imitate, for verl's supervised trainer."""
    messages = [_user(example.question), {"role": "assistant", "content": response}]
    return {"messages": messages, "images": [{"bytes": picture}]}


def _user(question: str) -> dict[str, str]:
    return {"role": "user", "content": f"<image>{question}"}
