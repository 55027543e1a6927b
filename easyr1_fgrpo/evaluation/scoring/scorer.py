"""A language model as answer scorer (FGRPO B.2): does this reply give the reference answer, in whatever words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import jinja2

from easyr1_fgrpo.judges.fence import fence
from easyr1_fgrpo.model_client.chat import CallFailed
from easyr1_fgrpo.model_client.client import Address, ModelClient
from easyr1_fgrpo.model_client.replies import plain
from easyr1_fgrpo.traces import ScorerRecord

MAX_QUESTION = 8_000
MAX_REPLY = 8_000
"""Characters of a text in a request; of a longer one head and tail are shown."""

MAX_TEXT = 500
"""Characters kept of a scorer's answer."""

WORDS = {"RIGHT": True, "WRONG": False}


@dataclass(frozen=True)
class ScorerSpec:
    """Which scorer, and how it is asked.

    Attributes:
        address: where it is served.
        parameters: further fields of a request; None takes a field out.
        accept_reasoning: a word behind a closed thinking block, in a code fence or in stars counts, too.
    """

    address: Address
    parameters: Mapping[str, Any] = field(default_factory=dict)
    accept_reasoning: bool = False

    @property
    def request(self) -> dict[str, Any]:
        """The fields of a request besides model and messages; who thinks may write as much as the server allows."""
        limit = {} if self.accept_reasoning else {"max_tokens": 8}
        return with_parameters({"temperature": 0.0, **limit}, self.parameters)


def with_parameters(defaults: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a request: parameters over defaults, those that are None left out; one limit of tokens."""
    newer = {"max_tokens": None} if parameters.get("max_completion_tokens") is not None else {}
    fields = {**defaults, **newer, **parameters}
    return {name: value for name, value in fields.items() if value is not None}


class AnswerScorer:
    """Asks a text model of the class of Qwen3-4B-Instruct-2507 about every answer.

    Args:
        client: the model.
        served: its name at its server.
        spec: how it is asked.
    """

    def __init__(self, client: ModelClient, served: str, spec: ScorerSpec) -> None:
        source = (files("easyr1_fgrpo.evaluation.scoring") / "prompts" / "answer_scorer.jinja").read_text(
            encoding="utf-8"
        )
        environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        self._template = environment.from_string(source)
        self._rules = self._render("rules")
        self._client = client
        self.name = served
        self._spec = spec
        asked = json.dumps([spec.request, spec.accept_reasoning], sort_keys=True)
        self.version = hashlib.sha256(f"{served}\0{source}\0{asked}".encode()).hexdigest()[:12]

    async def score(self, question: str, reference: str, reply: str) -> ScorerRecord:
        """Compare a reply with the reference.

        Args:
            question: with its lettered choices.
            reference: the right answer.
            reply: the answer part of a response, or all of it where no such part was found.

        Returns:
            Right or wrong; neither, and why, for a scorer that failed or answered something else.

        Raises:
            ModelGone: when the scorer cannot be asked any more.
        """
        if not reply.strip():
            return ScorerRecord(scorer=self.name, right=False, cause="there is no reply")
        texts = {
            "question": fence(question, MAX_QUESTION),
            "reference": fence(reference, MAX_QUESTION),
            "response": fence(reply, MAX_REPLY),
        }
        body = {
            "model": self.name,
            "messages": [
                {"role": "system", "content": self._rules},
                {"role": "user", "content": self._render("case", **texts)},
            ],
            **self._spec.request,
        }
        try:
            answered = await self._client.complete(json.dumps(body).encode())
        except CallFailed as error:
            return ScorerRecord(scorer=self.name, right=None, cause=str(error))
        text = answered.text[:MAX_TEXT]
        right = read(plain(answered.text) if self._spec.accept_reasoning else answered.text)
        cause = "" if right is not None else "the answer is neither RIGHT nor WRONG"
        return ScorerRecord(scorer=self.name, right=right, cause=cause, text=text)

    def _render(self, block: str, **values: str) -> str:
        return "".join(self._template.blocks[block](self._template.new_context(values))).strip()


def read(text: str) -> bool | None:
    """Read a scorer's word, strictly: case, white space around it and one full stop do not matter; else None."""
    return WORDS.get(text.strip().removesuffix(".").upper()) if text.isascii() else None
