"""A judge that answers first questions and is never reached once a run has begun, in the oracle's place."""

import ray

from easyr1_fgrpo.judges.protocol import Failure, JudgeRequest, Label, Question, Verdict


class BrokenJudge:
    name = "broken"

    def __init__(self, scenes: str) -> None:
        pass

    async def ask(self, request: JudgeRequest) -> Verdict:
        if not ray.is_initialized():
            return Verdict(Label.YES if request.kind is Question.CONSISTENCY else Label.CORRECT, judge=self.name)
        return Verdict(None, judge=self.name, failure=Failure.UNREACHABLE, cause="connection refused")
