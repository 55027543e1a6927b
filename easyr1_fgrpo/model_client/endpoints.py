"""Which URL answers the next call: the least busy one, as long as it is alive."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum

FAULTS_TO_OPEN = 10
"""Failed calls in a row after which a URL is left out."""

FIRST_COOL_DOWN_S = 1.0
"""Seconds a URL is left out at first; doubled each time that the trial call after it fails."""

LAST_COOL_DOWN_S = 60.0
"""Most seconds a URL is left out before it is tried again."""

LOOKUP_PAUSE_S = 1.0
"""Seconds for which a failed lookup of the URLs is not repeated."""

logger = logging.getLogger(__name__)


class Outcome(Enum):
    """What a call says about its endpoint; a cancelled one and one that had too little time say nothing."""

    ALIVE = "alive"
    FAULT = "fault"
    UNKNOWN = "unknown"


class NoEndpoint(Exception):  # noqa: N818 - it is the answer to a question, not an error of a program
    """No URL can be asked now; the message names them and the last cause."""


@dataclass(eq=False)
class Endpoint:
    """One URL and its circuit breaker.

    Attributes:
        url: the base URL.
        busy: our calls under way there.
        faults: calls that failed since the last one that did not.
        cool_down_s: seconds for which it is, or was last, left out; 0 while it is in use.
        open_until: on the monotonic clock: from then on one trial call may go there.
        on_trial: whether that call is under way.
        cause: of the last fault.
    """

    url: str
    busy: int = 0
    faults: int = 0
    cool_down_s: float = 0.0
    open_until: float = 0.0
    on_trial: bool = False
    cause: str = ""

    @property
    def open(self) -> bool:
        """Whether the circuit is open: no call goes there but for a trial."""
        return self.cool_down_s > 0.0

    def accepts(self, limit: int) -> bool:
        """Whether a call may start there now."""
        if self.open:
            return not self.on_trial and time.monotonic() >= self.open_until
        return self.busy < limit

    def recover(self) -> None:
        """It answered."""
        if self.open:
            logger.warning("endpoint %s answers again", self.url)
        self.faults, self.cool_down_s = 0, 0.0

    def fail(self, cause: str, trial: bool) -> None:
        """It did not."""
        self.cause = cause
        if self.open and not trial:
            return  # the call began before it was left out, and says nothing new
        self.faults += 1
        if trial or self.faults >= FAULTS_TO_OPEN:
            self.cool_down_s = min(2 * self.cool_down_s or FIRST_COOL_DOWN_S, LAST_COOL_DOWN_S)
            self.open_until = time.monotonic() + self.cool_down_s
            logger.warning("endpoint %s is left out for %g s: %s", self.url, self.cool_down_s, cause)


@dataclass(frozen=True)
class Slot:
    """The right to have one call under way at an endpoint."""

    endpoint: Endpoint
    trial: bool


@dataclass(frozen=True)
class _Wish:
    """What somebody waits for, see `Endpoints.take`."""

    avoid: Endpoint | None
    stay: bool


class Endpoints:
    """All URLs of a model. For one event loop.

    Args:
        urls: the URLs, or who says them: asked at the first call, and again when none of those known answers any more.
        limit: calls under way at each URL at most.
        total: calls under way at all URLs together at most; None for no further limit.
    """

    def __init__(
        self, urls: Sequence[str] | Callable[[], Awaitable[Sequence[str]]], limit: int, total: int | None = None
    ) -> None:
        self._urls = urls
        self._limit = limit
        self._total = math.inf if total is None else total
        self._endpoints: list[Endpoint] = []
        self._lookup: asyncio.Task[None] | None = None
        self._next_lookup = 0.0
        self._waiting: OrderedDict[asyncio.Future[Slot], _Wish] = OrderedDict()
        self._next_trial: asyncio.TimerHandle | None = None

    async def take(self, avoid: Endpoint | None = None, *, stay: bool = False, first: bool = False) -> Slot:
        """A slot at the least busy URL, as soon as there is one; first come, first served, repetitions before all.

        Args:
            avoid: where the question failed before: it goes there again only if no other URL has a slot. It does not
                queue again: behind a thousand others its time would be over.
            stay: keep its turn while every URL is left out: the first in the queue is the trial call, and the others
                go on once a URL answers again. For whoever stops waiting at some time.
            first: before all others: it had its turn.

        Raises:
            NoEndpoint: at once, when none is known or, without `stay`, every URL is left out.
        """
        if all(endpoint.open for endpoint in self._endpoints):
            await self._look_up()
        waiter: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        self._waiting[waiter] = _Wish(avoid, stay)
        if avoid is not None or first:
            self._waiting.move_to_end(waiter, last=False)
        self._hand_out()
        try:
            return await waiter
        except asyncio.CancelledError:
            self._waiting.pop(waiter, None)
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.give_back(waiter.result(), Outcome.UNKNOWN)
            raise

    def give_back(self, slot: Slot, outcome: Outcome, cause: str = "") -> None:
        """Free a slot and tell how the call went.

        Args:
            slot: from `take`.
            outcome: what the call says about the endpoint.
            cause: of a fault, one line.
        """
        endpoint = slot.endpoint
        endpoint.busy -= 1
        if slot.trial:
            endpoint.on_trial = False
        if outcome is Outcome.ALIVE:
            endpoint.recover()
        elif outcome is Outcome.FAULT:
            endpoint.fail(cause, slot.trial)
        self._hand_out()

    def _hand_out(self) -> None:
        """Slots to those who wait, in their order; when every URL is left out, a refusal to those who do not stay."""
        while self._waiting:
            waiter, wish = next(iter(self._waiting.items()))
            if not waiter.done():
                slot = self._free(wish.avoid)
                if slot is None:
                    break
                waiter.set_result(slot)
            del self._waiting[waiter]
        if trouble := self.trouble:
            for waiter in [waiter for waiter, wish in self._waiting.items() if not wish.stay]:
                del self._waiting[waiter]
                if not waiter.done():
                    waiter.set_exception(NoEndpoint(trouble))
        self._await_trial()

    def _await_trial(self) -> None:
        """Hand out again when a URL that is left out may be tried: no call may end before."""
        if self._next_trial is not None:
            self._next_trial.cancel()
            self._next_trial = None
        now = time.monotonic()
        pauses_s = [e.open_until - now for e in self._endpoints if e.open and not e.on_trial and e.open_until > now]
        if self._waiting and pauses_s:
            self._next_trial = asyncio.get_running_loop().call_later(min(pauses_s), self._hand_out)

    def _free(self, avoid: Endpoint | None) -> Slot | None:
        accepting = [endpoint for endpoint in self._endpoints if endpoint.accepts(self._limit)]
        if not accepting or sum(endpoint.busy for endpoint in self._endpoints) >= self._total:
            return None
        endpoint = min(accepting, key=lambda endpoint: (endpoint is avoid, endpoint.busy))
        endpoint.busy += 1
        endpoint.on_trial = endpoint.open
        return Slot(endpoint, trial=endpoint.open)

    @property
    def trouble(self) -> str:
        """Which URLs are left out, for how long and why, when all are; "" while one is in use."""
        if not all(endpoint.open for endpoint in self._endpoints):
            return ""
        return "; ".join(
            f"{endpoint.url} is left out for {max(0.0, endpoint.open_until - time.monotonic()):.1f} s more after: "
            f"{endpoint.cause}"
            for endpoint in self._endpoints
        )

    async def _look_up(self) -> None:
        """Ask for the URLs, once for all who wait and not more often than every `LOOKUP_PAUSE_S`."""
        if self._lookup is None or (self._lookup.done() and time.monotonic() >= self._next_lookup):
            self._lookup = asyncio.ensure_future(self._renew())
        await asyncio.shield(self._lookup)

    async def _renew(self) -> None:
        try:
            urls = await self._urls() if callable(self._urls) else self._urls
            if not urls:
                raise LookupError("there are none")
        except Exception as error:
            # Whatever it is, known URLs stay: an open circuit tries them again.
            if not self._endpoints:
                raise NoEndpoint(f"the model's URLs cannot be looked up: {error or type(error).__name__}") from error
            logger.warning("the model's URLs cannot be looked up, the known ones stay: %s", error)
        else:
            known = {endpoint.url: endpoint for endpoint in self._endpoints}
            self._endpoints = [known.get(url) or Endpoint(url) for url in dict.fromkeys(urls)]
        finally:
            self._next_lookup = time.monotonic() + LOOKUP_PAUSE_S
