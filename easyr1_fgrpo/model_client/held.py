"""Which pictures a server holds: vLLM is sent each one once, and then its name.

Not every server knows names, and one that took a name for no picture would answer blindly. So each is first asked a
question with a name that nobody ever gave a picture: only a server that refuses it as vLLM does is asked by names. Its
cache may be gone at any time (it was restarted, it was full, others answer at its URL): what it misses it is sent.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

from easyr1_fgrpo.model_client.chat import CallFailed

MISSED = "cache miss for image"
"""In a refusal by vLLM (0.24 and 0.29) of a name that it does not know: its words are all that tells it from others."""

REMEMBERED = 4096
"""Pictures; vLLM's own cache, of 4 GiB by default, holds some hundred."""

KNOWN_FOR_S = 10.0
"""Seconds without an answer after which a server is asked again whether it knows names: it may be another by now. And
seconds for which one that does not, or did not say, is not asked again: it may be one that counts or limits calls.
"""

MISSES_TO_STOP = 64
"""More misses than hits after which a server is sent every picture: it keeps none, or there are many behind its URL."""

TRANSIENT = frozenset({0, 401, 403, 408, 409, 429, 502, 503, 504})
"""Statuses (0: no answer at all) that say nothing about whether a server knows names."""

logger = logging.getLogger(__name__)


def is_miss(error: CallFailed) -> bool:
    """Whether a server refused a request because it does not hold a picture that was named."""
    return is_refusal(error) and MISSED in error.text.lower()


def is_refusal(error: CallFailed) -> bool:
    """Whether a server found fault with a request as it was written."""
    return 400 <= error.status < 500 and error.status not in TRANSIENT


class HeldPictures:
    """Of one server. For one event loop.

    Args:
        url: where it is.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._takes_names: bool | None = None
        self._learning: asyncio.Future[None] | None = None
        self._held: OrderedDict[str, None] = OrderedDict()
        self._on_their_way: dict[str, asyncio.Future[bool]] = {}
        self._misses = 0
        self._heard = self._not_before = -math.inf

    async def take_names(self, ask_for_nothing: Callable[[], Awaitable[object]]) -> bool:
        """Whether the server knows pictures by their names; asked once, by whoever is the first to want it.

        Args:
            ask_for_nothing: puts a question with a name that nobody ever gave a picture.
        """
        now = asyncio.get_running_loop().time()
        if self._takes_names and now - self._heard > KNOWN_FOR_S:
            self.forget()
        if self._takes_names is None and now >= self._not_before:
            if self._learning is None or self._learning.done():
                self._learning = asyncio.ensure_future(self._learn(ask_for_nothing))
            await asyncio.shield(self._learning)
        return self._takes_names is True

    async def _learn(self, ask_for_nothing: Callable[[], Awaitable[object]]) -> None:
        try:
            await ask_for_nothing()
            self._takes_names = False  # whatever it answered about, it was not the picture
        except CallFailed as error:
            if error.status not in TRANSIENT:
                self._takes_names = is_miss(error)
        except TimeoutError:
            pass  # the question's time was over
        self._heard = asyncio.get_running_loop().time()
        if not self._takes_names:
            self._not_before = self._heard + KNOWN_FOR_S

    def on_its_way(self, names: Sequence[str]) -> asyncio.Future[bool] | None:
        """What to wait for where another question brings one of these pictures: whether it has arrived."""
        if self._takes_names is False:
            return None
        return next((self._on_their_way[name] for name in names if name in self._on_their_way), None)

    @contextmanager
    def bringing(self, names: Sequence[str]) -> Iterator[None]:
        """A question about these pictures: the first one brings those that are not known to be held."""
        arrived = asyncio.get_running_loop().create_future()
        mine = [name for name in names if name not in self._held and name not in self._on_their_way]
        self._on_their_way |= dict.fromkeys(mine, arrived)
        try:
            yield
        finally:
            for name in mine:
                del self._on_their_way[name]
            arrived.set_result(all(name in self._held for name in mine))

    def answered(self, names: Sequence[str], missed: bool) -> None:
        """It answered a question about these pictures, by their names or after it had missed one."""
        self._heard = asyncio.get_running_loop().time()
        for name in names:
            self._held[name] = None
            self._held.move_to_end(name)
        while len(self._held) > REMEMBERED:
            self._held.popitem(last=False)
        self._misses = self._misses + 1 if missed else max(0, self._misses - 1)
        if self._misses > MISSES_TO_STOP and self._takes_names:
            logger.warning("%s does not keep pictures: it is sent them with every question about them", self._url)
            self._takes_names = False

    def forget(self) -> None:
        """It failed: what comes up at its URL may be another one."""
        self._takes_names = None
        self._held.clear()
