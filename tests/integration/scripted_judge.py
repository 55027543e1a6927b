"""A judge for the tests of judge servers: the claim says how it is to behave."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from easyr1_fgrpo.judges.protocol import JudgeRequest, Label, Verdict


class ScriptedJudge:
    name = "scripted"

    def __init__(self, scenes: str) -> None:
        self.scenes = Path(scenes).read_text()
        self.cancelled = 0

    async def ask(self, request: JudgeRequest) -> Verdict:
        text = self.scenes
        match request.claim:
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "raise":
                raise RuntimeError("cannot read this")
            case "nonsense":
                return 3  # type: ignore[return-value]
            case "sleep":
                try:
                    await asyncio.sleep(600)
                except asyncio.CancelledError:
                    self.cancelled += 1
                    raise
            case "cancelled?":
                text = str(self.cancelled)
            case "modules?":
                text = ",".join(name for name in ("torch", "verl", "transformers") if name in sys.modules)
            case "pid?":
                text = str(os.getpid())
        return Verdict(Label.CORRECT, judge=self.name, text=text)
