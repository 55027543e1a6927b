"""Examples as the rows that verl reads: questions for RL, conversations for the supervised warm start."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from easyr1_fgrpo.miniature.example import Example
from easyr1_fgrpo.miniature.scene import SIDE

_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
_IMAGES = pa.list_(pa.struct([("bytes", pa.binary())]))
QUESTIONS = pa.schema(
    {
        "data_source": pa.string(),
        "prompt": _MESSAGES,
        "images": _IMAGES,
        "reward_model": pa.struct([("style", pa.string()), ("ground_truth", pa.string())]),
        "extra_info": pa.struct(
            [
                ("index", pa.int64()),
                ("split", pa.string()),
                ("question", pa.string()),
                ("choices", pa.list_(pa.string())),
                ("source", pa.string()),
                ("boxes", pa.list_(pa.list_(pa.int64()))),
                ("width", pa.int64()),
                ("height", pa.int64()),
            ]
        ),
    }
)
CONVERSATIONS = pa.schema({"messages": _MESSAGES, "images": _IMAGES})


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


def write(rows: Iterable[dict[str, Any]], schema: pa.Schema, path: Path) -> None:
    """Write rows as one parquet file."""
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), path)


def _user(question: str) -> dict[str, str]:
    return {"role": "user", "content": f"<image>{question}"}
