"""Asks a model until it replies: at the least busy URL, and again as long as that may help."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception
from tenacity.wait import wait_random_exponential

from easyr1_fgrpo.model_client.chat import CallFailed, ChatClient
from easyr1_fgrpo.model_client.endpoints import Endpoint, Endpoints, NoEndpoint, Outcome, Slot
from easyr1_fgrpo.model_client.held import HeldPictures, is_miss, is_refusal
from easyr1_fgrpo.model_client.pictures import How, PicturedBody
from easyr1_fgrpo.model_client.replies import Reply
from easyr1_fgrpo.model_client.silence import Silence

FIRST_PAUSE_S = 0.25
"""Seconds before the first repetition, on top of what the server asks for: random up to this, then twice it, ..."""

Body = bytes | Callable[[], Awaitable[bytes]] | PicturedBody
"""The JSON of a request, or who makes it once there is a slot: many questions wait, and pictures are large."""


@dataclass(frozen=True)
class Retries:
    """How long a question is asked again.

    Attributes:
        attempts: calls for one question, the first included.
        longest_pause_s: most seconds of the random pause before a repetition.
        patience_s: seconds without a sign of life from any URL for which a server that cannot be reached is waited for,
            which then costs no attempt; None: it does.
    """

    attempts: int
    longest_pause_s: float = 8.0
    patience_s: float | None = None


@dataclass
class Asking:
    """One question under way. Made within the event loop.

    Attributes:
        limit_s: seconds after its first call at which the question ends, repetitions included. Before that call it
            waits for its turn as long as others are being answered: until no URL has answered anybody for `limit_s`.
        started: on the event loop's clock.
        ends: on the same clock; infinite before the first call.
        calls: sent up to now, failed ones included; not those that asked for a picture to be sent.
        last: where the last one went; a repetition goes elsewhere if it can.
    """

    limit_s: float = math.inf
    started: float = field(default_factory=lambda: _now())
    ends: float = math.inf
    calls: int = 0
    last: Endpoint | None = None


class RetryingClient:
    """One model at one or more URLs. For one event loop; opens connections when first asked.

    Repeated are failures that may pass: no connection, no answer in time, 408, 409, 429, 5xx, a body that is no chat
    completion. A repetition waits as long as the server asked for and a random time on top, and goes before questions
    that have not been asked yet. While every URL is left out, a question that has a limit keeps its turn in the queue;
    one without is repeated after a pause.

    A large picture goes to a server once, if that keeps pictures (`held.py`), and the questions about it that come
    meanwhile wait for it without a slot.

    Args:
        urls: base URLs, or who says them (see `Endpoints`).
        limit: calls under way at each URL at most.
        total: calls under way at all URLs together at most; None for no limit of its own.
        deadline_s: seconds for one call.
        retries: see there.
        api_key_env: the environment variable with the API key; "" for none.
        before_call: awaited once a call has its slot and before it is sent: a budget, a pace. What it raises ends the
            question.

    Attributes:
        chat: the transport, which also keeps the API key out of foreign texts.
    """

    def __init__(
        self,
        urls: Sequence[str] | Callable[[], Awaitable[Sequence[str]]],
        *,
        limit: int,
        deadline_s: float,
        retries: Retries,
        api_key_env: str = "",
        total: int | None = None,
        before_call: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.chat = ChatClient(api_key_env)
        self._endpoints = Endpoints(urls, limit, total)
        self._deadline_s = deadline_s
        self._retries = retries
        self._before_call = before_call
        self._silence = Silence()
        self._held: dict[str, HeldPictures] = {}

    async def ask(self, body: Body, asking: Asking | None = None) -> Reply:
        """Put one question.

        Args:
            body: see `Body`.
            asking: its limit, and what it cost, also when it fails; by default it has all the time.

        Raises:
            CallFailed: when the server refuses it, or the last repetition failed, too.
            NoEndpoint: when no URL can be asked; for a question with a limit, when that is so at its end, too.
            TimeoutError: when the question ended before a call could start.
        """
        asking = asking or Asking()
        retrying = AsyncRetrying(
            retry=retry_if_exception(self._may_pass),
            stop=lambda state: self._gives_up(state, asking),
            wait=self._pause_s,
            reraise=True,
        )
        return await retrying(self._attempt, body, asking)

    async def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        await self.chat.close()

    async def _attempt(self, body: Body, asking: Asking) -> Reply:
        """One call at the least busy URL, counted and reported to its circuit breaker."""
        names = body.large if isinstance(body, PicturedBody) else ()
        slot = await self._slot(asking, names)
        asking.last = slot.endpoint
        asking.ends = min(asking.ends, _now() + asking.limit_s)
        outcome, cause = Outcome.UNKNOWN, ""
        try:
            if self._before_call is not None:
                async with asyncio.timeout_at(asking.ends):
                    await self._before_call()
            reply = await self._call(slot.endpoint.url, body, names, asking)
            outcome = Outcome.ALIVE
        except CallFailed as error:
            asking.calls += error.sent
            outcome, cause = error.outcome, str(error)
            raise
        finally:
            if outcome is Outcome.ALIVE:
                self._silence.end()
            elif outcome is Outcome.FAULT:
                self._held_at(slot.endpoint.url).forget()
            self._endpoints.give_back(slot, outcome, cause)
        asking.calls += 1
        return reply

    async def _call(self, url: str, body: Body, names: Sequence[str], asking: Asking) -> Reply:
        """The reply to a request, with its pictures or with the names of those that the server holds."""
        if not isinstance(body, PicturedBody):
            return await self._send(url, body if isinstance(body, bytes) else body(), asking)
        held = self._held_at(url)
        with held.bringing(names):
            if names and await held.take_names(lambda: self._send(url, body.content(How.NO_NAME), asking)):
                return await self._by_name(url, body, names, asking)
        return await self._send(url, body.content(How.WHOLE), asking)

    async def _by_name(self, url: str, body: PicturedBody, names: Sequence[str], asking: Asking) -> Reply:
        """The reply to a request with names of its pictures; one that is refused goes again, with them."""
        held, missed = self._held_at(url), False
        try:
            reply = await self._send(url, body.content(How.NAME), asking)
        except CallFailed as error:
            if not is_refusal(error):
                raise
            if not is_miss(error):
                held.forget()
                return await self._send(url, body.content(How.WHOLE), asking)
            missed = True
            reply = await self._send(url, body.content(How.NAMED), asking)
        held.answered(names, missed)
        return reply

    def _held_at(self, url: str) -> HeldPictures:
        return self._held.setdefault(url, HeldPictures(url))

    async def _send(self, url: str, content: bytes | Awaitable[bytes], asking: Asking) -> Reply:
        """Post a request, within what is left of its question's time."""
        async with asyncio.timeout_at(asking.ends):
            content = content if isinstance(content, bytes) else await content
        limit_s = min(self._deadline_s, asking.ends - _now())
        if limit_s <= 0.0:
            raise TimeoutError
        try:
            return await self.chat.complete(url, content, limit_s)
        except CallFailed as error:
            if error.late and limit_s < min(self._deadline_s, asking.limit_s) / 2:
                # A call cut short because its question had little time left says nothing about the endpoint.
                error.outcome = Outcome.UNKNOWN
            raise

    async def _slot(self, asking: Asking, names: Sequence[str]) -> Slot:
        """Where the call goes; at the question's end, why there is nowhere.

        Where another question brings its pictures, it waits for them without the slot; once only if they do not arrive.
        """
        waited = False
        try:
            async with asyncio.timeout_at(asking.ends), self._silence.bearable(asking.limit_s, asking.started):
                while True:
                    stay = asking.limit_s < math.inf
                    slot = await self._endpoints.take(avoid=asking.last, stay=stay, first=waited)
                    arriving = self._held_at(slot.endpoint.url).on_its_way(names)
                    if arriving is None:
                        return slot
                    self._endpoints.give_back(slot, Outcome.UNKNOWN)
                    await asyncio.wait([arriving])
                    waited, names = True, names if arriving.result() else ()
        except TimeoutError:
            if trouble := self._endpoints.trouble:
                raise NoEndpoint(trouble) from None
            raise

    def _may_pass(self, error: BaseException) -> bool:
        return isinstance(error, NoEndpoint) or (isinstance(error, CallFailed) and error.again)

    def _gives_up(self, state: RetryCallState, asking: Asking) -> bool:
        """After the last attempt, or when the pause would outlast the question's time or our patience."""
        patience_s = self._retries.patience_s
        if _now() + state.upcoming_sleep >= asking.ends:
            return True
        if patience_s is None:
            return state.attempt_number >= self._retries.attempts
        return asking.calls >= self._retries.attempts or self._silence.seconds(asking.started) > patience_s

    def _pause_s(self, state: RetryCallState) -> float:
        """What the server asked for, and a random time on top, so that not all come back at once."""
        error = state.outcome.exception() if state.outcome else None
        asked_s = error.retry_after_s if isinstance(error, CallFailed) else 0.0
        back_off = wait_random_exponential(multiplier=FIRST_PAUSE_S, max=self._retries.longest_pause_s)
        return asked_s + back_off(state)


def _now() -> float:
    return asyncio.get_running_loop().time()
