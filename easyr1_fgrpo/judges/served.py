"""Judge servers, found by name: a judge that lives in a Ray actor, and the URLs of a model that one serves."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from easyr1_fgrpo.judges.protocol import Failure, JudgeRequest, Verdict
from easyr1_fgrpo.model_client.silence import Silence

LOOKUP_DEADLINE_S = 10.0

GRACE_S = 5.0
"""Seconds for the way of a verdict that says that the server's own time was over."""


def actor_name(server: str) -> str:
    """The Ray name under which a judge server is published."""
    return f"judge-{server}"


async def server_urls(server: str, namespace: str) -> list[str]:
    """Where the model of a vLLM judge server can be asked, like http://10.0.0.1:8000/v1.

    Args:
        server: a key of `fgrpo.reward_servers`, kind "vllm".
        namespace: the run's Ray namespace.

    Raises:
        LookupError: when there is no such server, or it was never healthy; one line says which.
    """
    import ray

    where = f"judge server {actor_name(server)!r} in namespace {namespace!r}"
    if not ray.is_initialized():
        raise LookupError(f"{where}: this process is not connected to Ray")
    try:
        actor = await _look_up(server, namespace)
        urls: list[str] = await asyncio.wait_for(actor.urls.remote(), LOOKUP_DEADLINE_S)
    except TimeoutError:
        raise LookupError(f"{where}: it did not say its URLs within {LOOKUP_DEADLINE_S:g} s") from None
    except (LookupError, ray.exceptions.RayError) as error:
        # Ray's errors hold tracebacks; the last line says what happened.
        raise LookupError(f"{where}: {(str(error).strip() or type(error).__name__).splitlines()[-1]}") from error
    if not urls:
        raise LookupError(f"{where}: its model is not loaded yet")
    return urls


class ServedJudge:
    """Asks the judge server `judge-<server>` of a namespace.

    A rollout's questions travel in one call, so its pictures do so once. The server counts their time from when it
    begins with them. A server that is restarting is waited for, until it has answered nobody for that long; one that is
    gone gives verdicts without label, and is looked up again at the next call.
    """

    per_rollout = True
    keeps_time = True

    def __init__(self, server: str, namespace: str) -> None:
        self.name = server
        self.namespace = namespace
        self._actor: Any = None
        self._silence = Silence()

    async def ask(self, request: JudgeRequest) -> Verdict:
        """Judge one request."""
        (verdict,) = await self.ask_all([request])
        return verdict

    async def ask_all(self, requests: Sequence[JudgeRequest]) -> list[Verdict]:
        """Judge several requests of one kind, in their order; the server's judge gets them as it wants them."""
        import ray

        if not ray.is_initialized():
            # Without this, Ray would start a cluster of its own at the first call.
            return self._failed(requests, "this process is not connected to Ray")
        limit_s = GRACE_S + min(request.limit_s for request in requests)
        try:
            actor = self._actor = self._actor or await _look_up(self.name, self.namespace)
            async with self._silence.bearable(limit_s, asyncio.get_running_loop().time()):
                verdicts: list[Verdict] = await _answer(actor.ask.remote(list(requests)))
        except ray.exceptions.RayTaskError as error:
            return self._failed(requests, f"it raised {type(error.cause).__name__}: {error.cause}")
        except (LookupError, ray.exceptions.RayError) as error:
            self._actor = None
            return self._failed(requests, str(error) or type(error).__name__)
        except TimeoutError:
            return self._failed(requests, f"it answered nobody for {limit_s:.3g} s", Failure.DEADLINE)
        self._silence.end()
        return verdicts

    def _failed(
        self, requests: Sequence[JudgeRequest], cause: str, failure: Failure = Failure.UNREACHABLE
    ) -> list[Verdict]:
        where = f"judge server {actor_name(self.name)!r} in namespace {self.namespace!r}"
        cause = " ".join(f"{where}: {cause}".split())
        return [Verdict(None, judge=self.name, failure=failure, cause=cause)] * len(requests)


async def _answer(reference: Any) -> Any:
    """Wait for a remote answer; when nobody waits for it any more, the server need not work on it either."""
    import ray

    try:
        return await reference
    except asyncio.CancelledError:
        ray.cancel(reference)
        raise


async def _look_up(server: str, namespace: str) -> Any:
    import ray

    # get_actor waits for Ray's control store, so it must not hold up the event loop.
    found = asyncio.to_thread(ray.get_actor, actor_name(server), namespace=namespace)
    try:
        return await asyncio.wait_for(found, LOOKUP_DEADLINE_S)
    except TimeoutError:
        raise LookupError(f"Ray did not say where it is within {LOOKUP_DEADLINE_S:g} s") from None
    except ValueError:
        raise LookupError("no such server: it was not launched, or was stopped") from None
