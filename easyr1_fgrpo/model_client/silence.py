"""Waiting as long as there is a sign of life: what bounds a queue whose length says nothing about the server."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Silence:
    """How long a server has answered nobody. For one event loop."""

    def __init__(self) -> None:
        self._heard = -math.inf

    def end(self) -> None:
        """The server gave a sign of life."""
        self._heard = asyncio.get_running_loop().time()

    def seconds(self, since: float) -> float:
        """Seconds without a sign of life, those before `since` (on the event loop's clock) left out."""
        return asyncio.get_running_loop().time() - max(self._heard, since)

    @asynccontextmanager
    async def bearable(self, most_s: float, since: float) -> AsyncIterator[None]:
        """A block that lasts as long as the silence does not.

        Args:
            most_s: seconds of silence; infinite for any.
            since: see `seconds`.

        Raises:
            TimeoutError: when the block was not over in time.
        """
        loop = asyncio.get_running_loop()
        next_look: asyncio.TimerHandle | None = None
        async with asyncio.timeout(None) as limit:

            def look() -> None:
                nonlocal next_look
                if (left_s := most_s - self.seconds(since)) > 0.0:
                    next_look = loop.call_later(left_s, look)
                else:
                    limit.reschedule(loop.time())

            if most_s < math.inf:
                look()
            try:
                yield
            finally:
                if next_look is not None:
                    next_look.cancel()
