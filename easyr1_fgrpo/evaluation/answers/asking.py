"""An item and a prompt style become a chat completion request; its reply an answer on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from easyr1_fgrpo.evaluation.answers.pictures import Picture
from easyr1_fgrpo.evaluation.benchmarks import Item
from easyr1_fgrpo.evaluation.mode import question_seed
from easyr1_fgrpo.evaluation.styles import Style
from easyr1_fgrpo.files import LineFile
from easyr1_fgrpo.model_client.client import ModelClient

MAX_CHARACTERS = 100_000
"""Of a response: far more than 4,096 tokens of a language need; a longer one is scored as one that was cut there."""


class Rejected(Exception):  # noqa: N818 - it becomes a row of the rejects
    """An item that cannot be answered or scored, and why, in one line."""


@dataclass(frozen=True)
class Answer:
    """A model's answer: its response, whether it was cut at the length limit, its length (0: not counted)."""

    text: str
    truncated: bool = False
    tokens: int = 0

    @property
    def scored(self) -> Answer:
        """The answer as it is scored: an endless one is cut. Nothing is left out, which would do a model no harm."""
        if len(self.text) <= MAX_CHARACTERS:
            return self
        return replace(self, text=self.text[:MAX_CHARACTERS], truncated=True)


@dataclass(frozen=True)
class Asking:
    """How a model is asked, the same for all of its questions.

    Attributes:
        served: the model's name at its server.
        identity: what its answers depend on besides the questions: the name, or a hash of the weights.
        style: prompt style.
        parameters: further fields of the request, `max_tokens` and `temperature` among them.
        seed: of the samples, each question's own comes from it; None where nothing is sampled.
    """

    served: str
    identity: str
    style: Style
    parameters: Mapping[str, Any]
    seed: int | None = None

    def key(self, item: Item) -> str:
        """Hash of everything an answer depends on; pictures count as the same as long as id, texts and source are."""
        style = [self.style.name, self.style.prefill, self.style.messages(item, 1), self.style.pixels]
        asked = [item.benchmark, item.id, item.question, item.choices, item.answer, item.content]
        return content_hash(self.identity, style, asked, self.request(item))

    def request(self, item: Item) -> dict[str, Any]:
        """The fields of a request besides model and messages."""
        own = {} if self.seed is None else {"seed": question_seed(self.seed, item.id)}
        return {**own, **self.parameters}

    def body(self, item: Item, pictures: Sequence[Picture]) -> bytes:
        """The JSON of the request."""
        messages = [_with_images(message, pictures) for message in self.style.messages(item, len(pictures))]
        body: dict[str, Any] = {"model": self.served, "messages": messages, **self.request(item)}
        if self.style.prefill:  # vLLM goes on with an assistant turn that was begun
            messages.append({"role": "assistant", "content": self.style.prefill})
            body |= {"add_generation_prompt": False, "continue_final_message": True}
        return json.dumps(body).encode()


async def ask(client: ModelClient, asking: Asking, item: Item, pictures: Sequence[Picture]) -> Answer:
    """Ask a model one question.

    Raises:
        CallFailed, ModelGone: see `ModelClient.complete`.
    """
    reply = await client.complete(asking.body(item, pictures))
    return Answer(reply.whole, reply.finish_reason == "length", reply.completion_tokens)


class AnswerLog:
    """Answers on disk, one a line by key, each flushed before it is used: no question is put twice.

    Args:
        path: a JSONL file; made when missing. A line torn by a crash costs one answer.
    """

    def __init__(self, path: Path) -> None:
        self._file = LineFile(path)
        self._starts = {key: start for start, line in self._file if (key := _key_of(line))}

    def get(self, key: str) -> Answer | None:
        """The answer under a key."""
        if key not in self._starts:
            return None
        values = json.loads(self._file.read(self._starts[key]))
        return Answer(values["text"], values["truncated"], values["tokens"])

    def put(self, key: str, answer: Answer) -> None:
        """Keep an answer."""
        self._starts[key] = self._file.append(json.dumps({"key": key, **asdict(answer)}))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def content_hash(*parts: Any) -> str:
    """SHA-256 of JSON values, in hex."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode("utf-8", "replace")).hexdigest()


def _key_of(line: bytes) -> str:
    """The key of a whole line; "" for one that is damaged."""
    try:
        values = json.loads(line)
        return str(values["key"]) if values.keys() == {"key", "text", "truncated", "tokens"} else ""
    except (ValueError, TypeError, KeyError, AttributeError):
        return ""


def _with_images(message: Mapping[str, Any], pictures: Sequence[Picture]) -> dict[str, Any]:
    """A message whose image placeholders are filled."""
    if isinstance(message["content"], str):
        return dict(message)
    parts = [
        {"type": "image_url", "image_url": {"url": pictures[part["index"]].data_url}}
        if part["type"] == "image"
        else part
        for part in message["content"]
    ]
    return {**message, "content": parts}
