"""A language model as answer scorer (FGRPO B.2): does this reply give the reference answer, in whatever words."""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files

import jinja2

from easyr1_fgrpo.judges.fence import fence
from easyr1_fgrpo.model_client.chat import CallFailed
from easyr1_fgrpo.model_client.client import ModelClient
from easyr1_fgrpo.traces import ScorerRecord

MAX_QUESTION = 8_000
MAX_REPLY = 8_000
"""Characters of a text in a request; of a longer one head and tail are shown."""

MAX_TEXT = 500
"""Characters kept of a scorer's answer."""

WORDS = {"RIGHT": True, "WRONG": False}


class AnswerScorer:
    """Asks a text model of the class of Qwen3-4B-Instruct-2507 about every answer.

    Args:
        client: the model.
        served: its name at its server.
    """

    def __init__(self, client: ModelClient, served: str) -> None:
        source = (files("easyr1_fgrpo.evaluation.scoring") / "prompts" / "answer_scorer.jinja").read_text(
            encoding="utf-8"
        )
        environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        self._template = environment.from_string(source)
        self._rules = self._render("rules")
        self._client = client
        self.name = served
        self.version = hashlib.sha256(f"{served}\0{source}".encode()).hexdigest()[:12]

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
            "temperature": 0.0,
            "max_tokens": 8,
        }
        try:
            answered = await self._client.complete(json.dumps(body).encode())
        except CallFailed as error:
            return ScorerRecord(scorer=self.name, right=None, cause=str(error))
        text = answered.text[:MAX_TEXT]
        right = read(answered.text)
        cause = "" if right is not None else "the answer is neither RIGHT nor WRONG"
        return ScorerRecord(scorer=self.name, right=right, cause=cause, text=text)

    def _render(self, block: str, **values: str) -> str:
        return "".join(self._template.blocks[block](self._template.new_context(values))).strip()


def read(text: str) -> bool | None:
    """Read a scorer's word, strictly: case, white space around it and one full stop do not matter; else None."""
    return WORDS.get(text.strip().removesuffix(".").upper()) if text.isascii() else None
