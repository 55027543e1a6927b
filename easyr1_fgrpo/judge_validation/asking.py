"""Put cases to judges: so many at a time, every one with a verdict in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import groupby

from easyr1_fgrpo.judge_validation.questions import Case, Images
from easyr1_fgrpo.judges.asking import ask as ask_judge
from easyr1_fgrpo.judges.asking import per_rollout
from easyr1_fgrpo.judges.protocol import Failure, Judge, JudgeRequest, Question, Verdict
from easyr1_fgrpo.terminal import progress_bar

UNDER_WAY = 256
"""Calls waiting for their judge at a time."""

Call = list[Case]


def calls_of(cases: Sequence[Case], judges: Mapping[Question, Judge]) -> list[Call]:
    """Cases that are asked together: the claims of one record for a judge that wants them so, otherwise each alone."""
    calls: list[Call] = []
    for (kind, _), group in groupby(cases, key=lambda case: (case.kind, case.record)):
        together = list(group)
        calls += [together] if per_rollout(judges[kind]) else [[case] for case in together]
    return calls


async def ask(
    calls: Sequence[Call], judges: Mapping[Question, Judge], images: Images, deadline_s: float
) -> list[Verdict]:
    """Ask every call once, `UNDER_WAY` at a time, with a progress bar.

    Args:
        calls: cases that are asked together.
        judges: who answers each kind.
        images: the records' images.
        deadline_s: seconds for a verdict.

    Returns:
        A verdict per case, in their order. Whatever goes wrong is a verdict without label.
    """
    verdicts: list[list[Verdict]] = [[] for _ in calls]
    pending = iter(enumerate(calls))
    with progress_bar(total=sum(map(len, calls)), desc="Asking the judge", unit="question", smoothing=0.05) as bar:

        async def work() -> None:
            for number, call in pending:
                verdicts[number] = await _ask(call, judges[call[0].kind], images, deadline_s)
                bar.update(len(call))

        async with asyncio.TaskGroup() as workers:
            for _ in range(min(UNDER_WAY, len(calls))):
                workers.create_task(work())
    return [verdict for answered in verdicts for verdict in answered]


async def _ask(call: Call, judge: Judge, images: Images, deadline_s: float) -> list[Verdict]:
    try:
        requests = [await _request(case, images, deadline_s) for case in call]
    except (OSError, ValueError) as error:  # a damaged image file
        cause = f"{type(error).__name__}: {error}"
        return [Verdict(None, judge.name, Failure.UNREACHABLE, cause=cause) for _ in call]
    return await ask_judge(judge, requests)


async def _request(case: Case, images: Images, limit_s: float) -> JudgeRequest:
    if case.kind is Question.CONSISTENCY:
        return case.request((), limit_s)
    opened = [await asyncio.to_thread(images.open, digest) for digest in case.images]
    return case.request(tuple(opened), limit_s)
