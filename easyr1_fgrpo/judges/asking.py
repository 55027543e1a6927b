"""Put questions to a judge: every question has a verdict in the end, whatever the judge does."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import TypeGuard

from easyr1_fgrpo.judges.protocol import LABELS, Failure, Judge, JudgeRequest, RolloutJudge, Verdict

logger = logging.getLogger(__name__)


async def ask(judge: Judge, requests: Sequence[JudgeRequest]) -> list[Verdict]:
    """Ask all questions of one kind, in one call where the judge wants them so, otherwise each on its own.

    Args:
        judge: who is asked.
        requests: the questions, of one rollout.

    Returns:
        A verdict per question: DEADLINE when the judge does not keep the time and took longer than `limit_s`. A judge
        that raises, or answers with something else, gives UNREACHABLE; a label that answers another question INVALID.
    """
    if per_rollout(judge):
        return await _in_time(judge, requests, judge.ask_all(requests)) if requests else []
    alone = [_in_time(judge, [request], _in_list(judge.ask(request))) for request in requests]
    return [verdict for verdicts in await asyncio.gather(*alone) for verdict in verdicts]


def per_rollout(judge: Judge) -> TypeGuard[RolloutJudge]:
    """Whether a judge wants all claims of a rollout in one call."""
    return bool(getattr(judge, "per_rollout", False))


async def _in_list(verdict: Awaitable[Verdict]) -> list[Verdict]:
    return [await verdict]


async def _in_time(judge: Judge, requests: Sequence[JudgeRequest], asked: Awaitable[list[Verdict]]) -> list[Verdict]:
    """Wait for the judge's answers; whatever goes wrong becomes verdicts without label."""
    limit_s = min(request.limit_s for request in requests)
    limit = asyncio.timeout(None if getattr(judge, "keeps_time", False) else limit_s)
    started = time.monotonic()
    try:
        async with limit:
            verdicts = await asked
        if len(verdicts) != len(requests) or not all(isinstance(verdict, Verdict) for verdict in verdicts):
            kinds = sorted({type(verdict).__name__ for verdict in verdicts})
            raise TypeError(
                f"a judge answers {len(requests)} questions with a Verdict each, got {len(verdicts)} {kinds}"
            )
    except Exception as error:
        if limit.expired() and isinstance(error, TimeoutError):
            failed = Verdict(None, judge.name, Failure.DEADLINE, cause=f"no answer within {limit_s:.3g} s")
        else:
            logger.warning("judge %s raised on a %s question", judge.name, requests[0].kind, exc_info=True)
            failed = Verdict(None, judge.name, Failure.UNREACHABLE, cause=f"{type(error).__name__}: {error}")
        verdicts = [failed] * len(requests)
    seconds = time.monotonic() - started
    return [_fitting(request, verdict, seconds) for request, verdict in zip(requests, verdicts, strict=True)]


def _fitting(request: JudgeRequest, verdict: Verdict, seconds: float) -> Verdict:
    """The verdict with the time it took; without its label when that does not answer the question."""
    usage = replace(verdict.usage, seconds=seconds)
    if verdict.label is None or verdict.label in LABELS[request.kind]:
        return replace(verdict, usage=usage)
    cause = f"{verdict.label} does not answer a {request.kind} question"
    return Verdict(None, verdict.judge, Failure.INVALID, cause=cause, text=verdict.text, usage=usage)
