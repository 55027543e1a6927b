"""How many rollouts are scored at once, and how long those behind them wait for a judge that answers nobody.

All at once, a large batch would have all its pictures and requests in memory, and keep the event loop from the replies.
A rollout that is let in later must not wait for a dead judge as if it had just come: then each deadline of a row of
rollouts would follow another's, where they passed together before.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from easyr1_fgrpo.config.judges import ModelJudgeConfig
from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.judges.asking import ask
from easyr1_fgrpo.judges.protocol import Failure, Judge, JudgeRequest, Question, Verdict

LEAST = 64
"""Rollouts that are let in beside those that can keep all calls of the judges busy: their pictures are being read."""

AWAY = (Failure.UNREACHABLE, Failure.DEADLINE)
"""Failures that are no sign of life."""


def rollouts_at_once(settings: FgrpoConfig, workers: int) -> int:
    """As many as keep this worker's share of the judges' calls busy though each has one question, and `LEAST` more."""
    models = [judge for judge in settings.judges.values() if isinstance(judge, ModelJudgeConfig)]
    # Judges that are configured alike are one, whose calls both questions share.
    distinct = [judge for number, judge in enumerate(models) if judge not in models[:number]]
    calls = sum(judge.concurrency * max(1, len(judge.base_urls)) for judge in distinct)
    return LEAST + math.ceil(calls / workers)


class Admission:
    """Lets rollouts in, first come, first served. For one event loop.

    Args:
        judges: who answers which question.
        at_once: rollouts.
    """

    def __init__(self, judges: Mapping[Question, Judge], at_once: int) -> None:
        self._turns = asyncio.Semaphore(at_once)
        patient = {id(judge): _Patience(judge) for judge in judges.values()}
        self._patience = {question: patient[id(judge)] for question, judge in judges.items()}

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[dict[Question, Judge]]:
        """A rollout's turn; within it, the judges as it asks them."""
        came = asyncio.get_running_loop().time()
        async with self._turns:
            yield {question: _AskedBy(patience, came) for question, patience in self._patience.items()}


class _Patience:
    """A judge, and since when it has left everybody who waits without an answer; not while nobody does."""

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self._waiting = 0
        self._silent_from: float | None = None

    def silence_s(self, came: float) -> float:
        """Seconds of silence up to now that a rollout has borne that came then (on the event loop's clock)."""
        now = asyncio.get_running_loop().time()
        return 0.0 if self._silent_from is None else now - max(self._silent_from, came)

    async def ask(self, requests: Sequence[JudgeRequest]) -> list[Verdict]:
        loop = asyncio.get_running_loop()
        if self._silent_from is None:
            self._silent_from = loop.time()
        self._waiting += 1
        answered = False
        try:
            verdicts = await ask(self.judge, requests)
            answered = any(verdict.failure not in AWAY for verdict in verdicts)
        finally:
            self._waiting -= 1
            if answered:
                self._silent_from = loop.time() if self._waiting else None
        return verdicts


class _AskedBy:
    """A judge as a rollout asks it that waited for its turn: silence meanwhile counts for its questions' time."""

    per_rollout = True
    keeps_time = True

    def __init__(self, patience: _Patience, came: float) -> None:
        self.name = patience.judge.name
        self._patience, self._came = patience, came

    async def ask(self, request: JudgeRequest) -> Verdict:
        return (await self.ask_all([request]))[0]

    async def ask_all(self, requests: Sequence[JudgeRequest]) -> list[Verdict]:
        silence_s = self._patience.silence_s(self._came)
        limit_s = min(request.limit_s for request in requests)
        if silence_s >= limit_s:
            cause = f"not asked: the judge had answered nobody for {silence_s:.3g} s when it was this rollout's turn"
            return [Verdict(None, self.name, Failure.DEADLINE, cause=cause)] * len(requests)
        return await self._patience.ask([replace(request, limit_s=limit_s - silence_s) for request in requests])
