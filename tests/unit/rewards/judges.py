"""Small judges for tests: each records what it was asked."""

import asyncio
from dataclasses import replace

from easyr1_fgrpo.judges.protocol import Failure, Label, Question, Usage, Verdict

TRUE = {Question.CONSISTENCY: Label.YES, Question.GROUNDING: Label.CORRECT}


class RecordingJudge:
    """Answers with `label(request)`; the default approves of everything."""

    def __init__(self, label=lambda request: TRUE[request.kind], name="recording"):
        self.label, self.name, self.requests = label, name, []

    async def ask(self, request):
        self.requests.append(request)
        return Verdict(self.label(request), self.name)


class FailingJudge(RecordingJudge):
    def __init__(self, failure):
        super().__init__()
        self.failure = failure

    async def ask(self, request):
        self.requests.append(request)
        return Verdict(None, self.name, self.failure, cause="as told")


class RaisingJudge(RecordingJudge):
    def __init__(self, error):
        super().__init__()
        self.error = error

    async def ask(self, request):
        raise self.error


class SlowJudge(RecordingJudge):
    """Never answers where `slow(request)`."""

    def __init__(self, slow=lambda request: True):
        super().__init__()
        self.slow = slow

    async def ask(self, request):
        if self.slow(request):
            await asyncio.Event().wait()
        return await super().ask(request)


class AllAtOnceJudge(RecordingJudge):
    """Answers a rollout's claims together; `answers` says how many verdicts it gives for n claims."""

    per_rollout = True

    def __init__(self, answers=lambda n: n, **options):
        super().__init__(**options)
        self.answers, self.rollouts = answers, []

    async def ask_all(self, requests):
        self.rollouts.append([request.claim for request in requests])
        usage = Usage(calls=1, prompt_tokens=70)
        verdicts = [Verdict(self.label(request), self.name) for request in requests]
        return [replace(verdicts[0], usage=usage), *verdicts[1:]][: self.answers(len(requests))]


class MeetingJudge(RecordingJudge):
    """Answers only when `parties` questions are waiting at the same time."""

    def __init__(self, parties):
        super().__init__()
        self.barrier = asyncio.Barrier(parties)

    async def ask(self, request):
        await self.barrier.wait()
        return await super().ask(request)


def both(judge):
    return {Question.CONSISTENCY: judge, Question.GROUNDING: judge}


FAILURES = tuple(Failure)
