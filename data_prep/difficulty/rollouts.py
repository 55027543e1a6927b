"""One rollout of the difficulty filter: what is asked, with which seed, and whether the answer is right."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from easyr1_fgrpo.pictures import data_url, opened, plain_file
from easyr1_fgrpo.rewards import answer_matches, parse_response
from easyr1_fgrpo.rows import IMAGE_MARK

MAX_ANSWER = 200
"""Characters kept of an answer."""

TEXTS = pa.schema(
    {
        "key": pa.string(),
        "number": pa.int64(),
        "ground_truth": pa.string(),
        "choices": pa.list_(pa.string()),
        "text": pa.string(),
        "failure": pa.string(),
    }
)
"""What an engine gives back, a row a rollout: `text` is null and `failure` one line where there is no rollout."""


@dataclass(frozen=True)
class Sampling:
    """How the base model is sampled.

    Attributes:
        model: a name that the endpoint knows, or what vLLM loads.
        rollouts: a row, FGRPO section A.3: 4.
        temperature: the paper's value is not legible; 1.0, as in training.
        max_tokens: of a response, FGRPO Table 5: 1024.
        seed: of all seeds.
    """

    model: str
    rollouts: int = 4
    temperature: float = 1.0
    max_tokens: int = 1024
    seed: int = 0

    def seed_of(self, key: str, number: int) -> int:
        """Seed of one rollout in [0, 2**31): the same whoever asks, in whatever order."""
        return int.from_bytes(_digest(f"{self.seed}/{key}/{number}")[:4]) >> 1


@dataclass(frozen=True, slots=True)  # a million of them are in memory at once
class Outcome:
    """One rollout that was measured.

    Attributes:
        key: of its row.
        number: which of the row's rollouts, from 0.
        correct: R_acc.
        answer: its final answer, at most `MAX_ANSWER` characters; None when the response has none.
    """

    key: str
    number: int
    correct: bool
    answer: str | None


def row_key(folder: str, extra_info: Mapping[str, Any]) -> str:
    """Name of a row that no other row of the inputs has."""
    return f"{folder}/{extra_info['split']}/{extra_info['index']}"


def draw_of(seed: int, key: str) -> float:
    """A row's own uniform number in [0, 1), whatever other rows there are."""
    return float(int.from_bytes(_digest(f"{seed}/{key}")[:6]) / 2**48)


def chat_messages(prompt: Sequence[Mapping[str, str]], images: Sequence[Mapping[str, bytes]]) -> list[dict[str, Any]]:
    """A row's prompt in the chat completions protocol: every `<image>` mark becomes the next image, as it is stored."""
    urls = iter([_as_stored(image["bytes"]) for image in images])
    return [{"role": turn["role"], "content": _content(turn["content"], urls)} for turn in prompt]


def measure(text: Mapping[str, Any]) -> Outcome:
    """Score a row of `TEXTS` that has a text; a response without an answer is a wrong one."""
    answer = parse_response(text["text"]).answer
    correct = answer_matches(answer, text["ground_truth"], text["choices"] or ())
    return Outcome(text["key"], text["number"], correct, None if answer is None else answer[:MAX_ANSWER])


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _content(text: str, urls: Any) -> str | list[dict[str, Any]]:
    first, *others = text.split(IMAGE_MARK)
    if not others:
        return text
    parts: list[dict[str, Any]] = [{"type": "text", "text": first}]
    for piece in others:
        parts += [{"type": "image_url", "image_url": {"url": next(urls)}}, {"type": "text", "text": piece}]
    return [part for part in parts if part["type"] != "text" or part["text"]]


def _as_stored(data: bytes) -> str:
    file = plain_file(data)
    with opened(file) as image:
        return data_url(file, str(image.get_format_mimetype()))
