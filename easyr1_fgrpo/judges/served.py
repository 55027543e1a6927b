"""A judge that lives in a Ray actor of its own, found by name."""

from __future__ import annotations

from typing import Any

from easyr1_fgrpo.judges.protocol import Failure, JudgeRequest, Verdict


def actor_name(server: str) -> str:
    """The Ray name under which a judge server is published."""
    return f"judge-{server}"


class ServedJudge:
    """Asks the judge server `judge-<server>` of a namespace; an unreachable server is a verdict without label."""

    def __init__(self, server: str, namespace: str) -> None:
        self.name = server
        self.namespace = namespace
        self._actor: Any = None

    async def ask(self, request: JudgeRequest) -> Verdict:
        """Judge one request."""
        import ray

        try:
            # get_actor blocks for a moment, once; a replaced server is looked up again.
            self._actor = self._actor or ray.get_actor(actor_name(self.name), namespace=self.namespace)
            verdict: Verdict = await self._actor.ask.remote(request)
        except (ray.exceptions.RayError, ValueError) as error:
            self._actor = None
            cause = f"judge server {actor_name(self.name)!r} in namespace {self.namespace!r}: {error}"
            return Verdict(None, judge=self.name, failure=Failure.UNREACHABLE, cause=cause)
        return verdict
