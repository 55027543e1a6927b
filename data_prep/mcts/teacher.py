"""The teacher: a model behind OpenAI-compatible URLs, asked within limits and a budget."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

from aiolimiter import AsyncLimiter
from pydantic import BaseModel, ConfigDict, Field

from easyr1_fgrpo.model_client.chat import CallFailed
from easyr1_fgrpo.model_client.endpoints import NoEndpoint
from easyr1_fgrpo.model_client.replies import Reply
from easyr1_fgrpo.model_client.retrying import Retries, RetryingClient

RETRIES = Retries(attempts=9, longest_pause_s=30.0)
"""Of one step: their pauses add up to a minute at most."""

GIVE_UP_AFTER = 8
"""Failed steps in a row, without a reply to anything between them, after which the teacher is taken for gone."""


class TeacherFailed(Exception):  # noqa: N818 - the normal course of things with a server
    """There is no reply to one step; its question has to wait for another run."""


class Stopped(Exception):  # noqa: N818
    """The teacher is asked no more in this run; the message says why."""


class BudgetUsedUp(Stopped):
    """The calls or tokens of this run are used up."""


class TeacherConfig(BaseModel):
    """How a teacher is asked.

    Attributes:
        base_urls: where it is served, with the version (".../v1"); a call goes to the least busy one.
        model: its name there.
        api_key_env: the environment variable with the API key; "" for none.
        temperature: of every sample; 1.0 in FGRPO, with top_p 1. vLLM adds the top_k of a model's own generation
            config unless it is served with `--generation-config vllm`.
        reply_tokens: most tokens of a reply.
        deadline_s: seconds after which a call is given up.
        concurrency: calls under way at a time, at all URLs together.
        requests_per_minute: calls begun; None for no limit.
        max_calls: of this run, repetitions included; None for no limit.
        max_tokens: of this run, as the server counts them, prompt and reply; calls under way when it is reached go past
            it. None for no limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_urls: Annotated[list[str], Field(min_length=1)]
    model: str
    api_key_env: str = ""
    temperature: Annotated[float, Field(ge=0)] = 1.0
    reply_tokens: Annotated[int, Field(ge=1)] = 512
    deadline_s: Annotated[float, Field(gt=0)] = 120.0
    concurrency: Annotated[int, Field(ge=1)] = 64
    requests_per_minute: Annotated[float, Field(gt=0)] | None = None
    max_calls: Annotated[int, Field(ge=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None


class Teacher:
    """Replies to messages. For one event loop.

    Args:
        config: see there.

    Attributes:
        calls: sent in this run.
        tokens: in this run, prompt and reply.
        stopped: why it is asked no more; None while it is.
    """

    def __init__(self, config: TeacherConfig) -> None:
        self.calls = 0
        self.tokens = 0
        self.stopped: Stopped | None = None
        self._config = config
        self._client = RetryingClient(
            config.base_urls,
            api_key_env=config.api_key_env,
            limit=config.concurrency,
            total=config.concurrency,
            deadline_s=config.deadline_s,
            retries=RETRIES,
            before_call=self._before_call,
        )
        self._pace = _pace(config.requests_per_minute)
        self._failed_in_a_row = 0

    def connect(self) -> None:
        """Get ready.

        Raises:
            TeacherFailed: when the API key is missing.
        """
        try:
            self._client.chat.connect()
        except CallFailed as error:
            raise TeacherFailed(str(error)) from None

    async def ask(self, messages: Sequence[dict[str, Any]], seed: int) -> Reply:
        """One sample.

        Args:
            messages: of the chat.
            seed: of the sampling, below 2^31.

        Raises:
            TeacherFailed: when the last repetition failed, too.
            Stopped: when the teacher is asked no more.
        """
        self._check_budget()
        body = {
            "model": self._config.model,
            "messages": list(messages),
            "temperature": self._config.temperature,
            "top_p": 1.0,
            "max_tokens": self._config.reply_tokens,
            "seed": seed,
        }
        try:
            reply = await self._client.ask(json.dumps(body).encode())
        except (CallFailed, NoEndpoint) as error:
            self._failed_in_a_row += 1
            if self._failed_in_a_row >= GIVE_UP_AFTER and self.stopped is None:
                self.stopped = Stopped(f"the teacher gave no reply {GIVE_UP_AFTER} times in a row; the last: {error}")
            raise TeacherFailed(str(error)) from None
        self._failed_in_a_row = 0
        self.tokens += reply.prompt_tokens + reply.completion_tokens
        return reply

    async def close(self) -> None:
        """Close connections."""
        await self._client.close()

    def without_key(self, text: str) -> str:
        """The text with the API key taken out, wherever a server echoed it."""
        return self._client.chat.without_key(text)

    async def _before_call(self) -> None:
        """Wait for the pace, and spend a call of the budget.

        Raises:
            Stopped: when there is none left.
        """
        self._check_budget()
        if self._pace is not None:
            await self._pace.acquire()
            self._check_budget()
        self.calls += 1

    def _check_budget(self) -> None:
        if self.stopped is None:
            for used, limit, what in (
                (self.calls, self._config.max_calls, "calls (--max-calls)"),
                (self.tokens, self._config.max_tokens, "tokens (--max-tokens)"),
            ):
                if limit is not None and used >= limit:
                    self.stopped = BudgetUsedUp(f"the budget of this run is used up: {used} of {limit} {what}")
        if self.stopped is not None:
            raise self.stopped


def _pace(requests_per_minute: float | None) -> AsyncLimiter | None:
    """A second's worth of calls at once, one at least; a minute's worth would be twice the rate in the first minute."""
    if requests_per_minute is None:
        return None
    at_once = max(1.0, requests_per_minute / 60.0)
    return AsyncLimiter(at_once, at_once * 60.0 / requests_per_minute)
