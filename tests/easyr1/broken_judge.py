"""A judge that is never reached, in the oracle's place."""

from easyr1_fgrpo.judges.protocol import Failure, JudgeRequest, Verdict


class BrokenJudge:
    name = "broken"

    def __init__(self, scenes: str) -> None:
        pass

    async def ask(self, request: JudgeRequest) -> Verdict:
        return Verdict(None, judge=self.name, failure=Failure.UNREACHABLE, cause="connection refused")
