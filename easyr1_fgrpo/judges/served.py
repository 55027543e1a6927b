"""A judge that lives in a Ray actor of its own, found by name."""

from __future__ import annotations

import asyncio
from typing import Any

from easyr1_fgrpo.judges.protocol import Failure, JudgeRequest, Verdict

LOOKUP_DEADLINE_S = 10.0


def actor_name(server: str) -> str:
    """The Ray name under which a judge server is published."""
    return f"judge-{server}"


class ServedJudge:
    """Asks the judge server `judge-<server>` of a namespace.

    A server that is restarting is waited for, as long as the caller waits; one that is gone gives a verdict without
    label, and is looked up again at the next question.
    """

    def __init__(self, server: str, namespace: str) -> None:
        self.name = server
        self.namespace = namespace
        self._actor: Any = None

    async def ask(self, request: JudgeRequest) -> Verdict:
        """Judge one request."""
        import ray

        if not ray.is_initialized():
            # Without this, Ray would start a cluster of its own at the first call.
            return self._failed(Failure.UNREACHABLE, "this process is not connected to Ray")
        try:
            actor = self._actor = self._actor or await self._look_up()
            verdict = await _answer(actor.ask.remote(request))
        except ray.exceptions.RayTaskError as error:
            cause = f"the judge raised {type(error.cause).__name__}: {error.cause}"
            return self._failed(Failure.UNREACHABLE, cause)
        except (LookupError, ray.exceptions.RayError) as error:
            self._actor = None
            return self._failed(Failure.UNREACHABLE, str(error) or type(error).__name__)
        if not isinstance(verdict, Verdict):
            return self._failed(Failure.INVALID, f"answered with {type(verdict).__name__}, which is no Verdict")
        return verdict

    async def _look_up(self) -> Any:
        import ray

        # get_actor waits for Ray's control store, so it must not hold up the event loop.
        found = asyncio.to_thread(ray.get_actor, actor_name(self.name), namespace=self.namespace)
        try:
            return await asyncio.wait_for(found, LOOKUP_DEADLINE_S)
        except TimeoutError:
            raise LookupError(f"Ray did not say where it is within {LOOKUP_DEADLINE_S:g} s") from None
        except ValueError:
            raise LookupError("no such server: it was not launched, or was stopped") from None

    def _failed(self, failure: Failure, cause: str) -> Verdict:
        where = f"judge server {actor_name(self.name)!r} in namespace {self.namespace!r}"
        return Verdict(None, judge=self.name, failure=failure, cause=" ".join(f"{where}: {cause}".split()))


async def _answer(reference: Any) -> Any:
    """Wait for a remote answer; when nobody waits for it any more, the server need not work on it either."""
    import ray

    try:
        return await reference
    except asyncio.CancelledError:
        ray.cancel(reference)
        raise
