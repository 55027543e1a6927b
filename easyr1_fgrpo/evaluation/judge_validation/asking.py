"""Put cases to judges: so many at a time, every one with a verdict in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import groupby

from tqdm import tqdm

from easyr1_fgrpo.evaluation.judge_validation.questions import Case, Images
from easyr1_fgrpo.judges.protocol import LABELS, Failure, Judge, JudgeRequest, Question, RolloutJudge, Verdict
from easyr1_fgrpo.rewards.suite import JUDGES_SHARE_OF_DEADLINE

UNDER_WAY = 256
"""Calls waiting for their judge at a time."""

Call = list[Case]


def calls_of(cases: Sequence[Case], judges: Mapping[Question, Judge]) -> list[Call]:
    """Cases that are asked together: the claims of one record for a judge that wants them so, otherwise each alone."""
    calls: list[Call] = []
    for (kind, _), group in groupby(cases, key=lambda case: (case.kind, case.record)):
        together = list(group)
        calls += [together] if _per_rollout(judges[kind]) else [[case] for case in together]
    return calls


async def ask(
    calls: Sequence[Call], judges: Mapping[Question, Judge], images: Images, deadline_s: float
) -> list[Verdict]:
    """Ask every call once, `UNDER_WAY` at a time, with a progress bar.

    Args:
        calls: cases that are asked together.
        judges: who answers each kind.
        images: the records' images.
        deadline_s: seconds a call may take.

    Returns:
        A verdict per case, in their order. Whatever goes wrong is a verdict without label.
    """
    verdicts: list[list[Verdict]] = [[] for _ in calls]
    pending = iter(enumerate(calls))
    with tqdm(total=sum(map(len, calls)), desc="Asking the judge", unit="question", smoothing=0.05) as bar:

        async def work() -> None:
            for number, call in pending:
                verdicts[number] = await _ask(call, judges[call[0].kind], images, deadline_s)
                bar.update(len(call))

        async with asyncio.TaskGroup() as workers:
            for _ in range(min(UNDER_WAY, len(calls))):
                workers.create_task(work())
    return [verdict for answered in verdicts for verdict in answered]


async def _ask(call: Call, judge: Judge, images: Images, deadline_s: float) -> list[Verdict]:
    limit = asyncio.timeout(deadline_s)
    try:
        requests = [await _request(case, images, deadline_s * JUDGES_SHARE_OF_DEADLINE) for case in call]
        async with limit:
            verdicts = await _answers(judge, requests)
        if len(verdicts) != len(call) or not all(isinstance(verdict, Verdict) for verdict in verdicts):
            raise TypeError(f"{len(call)} questions want a Verdict each, got {verdicts!r}"[:500])
    except Exception as error:  # whatever a judge of one's own, or a damaged image file, raises
        late = limit.expired() and isinstance(error, TimeoutError)
        failure = Failure.DEADLINE if late else Failure.UNREACHABLE
        cause = f"no answer within {deadline_s:g} s" if late else f"{type(error).__name__}: {error}"
        return [Verdict(None, judge.name, failure, cause=cause) for _ in call]
    return [_fitting(case.kind, verdict) for case, verdict in zip(call, verdicts, strict=True)]


async def _request(case: Case, images: Images, time_left_s: float) -> JudgeRequest:
    if case.kind is Question.CONSISTENCY:
        return case.request((), time_left_s)
    opened = [await asyncio.to_thread(images.open, digest) for digest in case.images]
    return case.request(tuple(opened), time_left_s)


async def _answers(judge: Judge, requests: list[JudgeRequest]) -> list[Verdict]:
    if isinstance(judge, RolloutJudge) and judge.per_rollout:
        return await judge.ask_all(requests)
    return [await judge.ask(request) for request in requests]


def _per_rollout(judge: Judge) -> bool:
    return isinstance(judge, RolloutJudge) and judge.per_rollout


def _fitting(kind: Question, verdict: Verdict) -> Verdict:
    """The verdict, without its label when that does not answer the question."""
    if verdict.label is None or verdict.label in LABELS[kind]:
        return verdict
    cause = f"{verdict.label} does not answer a {kind} question"
    return Verdict(None, verdict.judge, Failure.INVALID, cause=cause, text=verdict.text, usage=verdict.usage)
