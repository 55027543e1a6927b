"""A language model behind OpenAI-compatible URLs as a judge: a question goes in, a verdict comes out, come what may."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from easyr1_fgrpo.config.judges import ModelJudgeConfig
from easyr1_fgrpo.judges.cache import VerdictCache, cache_key
from easyr1_fgrpo.judges.prompt import Prompt
from easyr1_fgrpo.judges.protocol import Failure, JudgeRequest, Label, Question, Usage, Verdict
from easyr1_fgrpo.model_client.chat import REFUSED, CallFailed
from easyr1_fgrpo.model_client.endpoints import NoEndpoint
from easyr1_fgrpo.model_client.pictures import DataUrls, PicturedBody
from easyr1_fgrpo.model_client.replies import plain
from easyr1_fgrpo.model_client.retrying import Asking, Retries, RetryingClient

if TYPE_CHECKING:
    from PIL.Image import Image

CACHE_WAIT_S = 1.0
"""Seconds a verdict waits to be on disk; a hanging disk must not cost it."""

TOKENS_PER_LABEL = 8
"""Tokens an answer may have for each label, and once more for what stands around them."""

TOKEN_LIMITS = frozenset({"max_tokens", "max_completion_tokens"})


logger = logging.getLogger(__name__)


@dataclass
class _Case:
    """What is under way: the questions of one call and what they cost up to now.

    `body` is the request once it is made, with its pictures under names.
    """

    requests: Sequence[JudgeRequest]
    prompt: Prompt
    asking: Asking
    body: PicturedBody | None = None
    cached: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def images(self) -> list[Image]:
        """Each image once; those of a rollout's questions are the same."""
        return list({id(image): image for request in self.requests for image in request.images}.values())


class OpenAICompatibleJudge:
    """Implements `easyr1_fgrpo.judges.protocol.RolloutJudge`, in one event loop; opens connections when first asked.

    Failures that may pass are repeated (see `RetryingClient`); an answer that is no label is not. What is left is a
    verdict without label that says why (`Failure`). A question's time counts from its
    first call: with thousands in the queue, waiting for a slot says nothing about the question, and would fail long
    traces first.

    Args:
        config: which model, how it is asked, and the limits.
        urls: says where the model is served.
        share: (number of this process, how many processes ask): together they keep `config.concurrency` per URL.
        cache: earlier verdicts; None asks every time.
        questions: what it will be asked; a custom template (`config.prompt`) fits one of them.

    Raises:
        ValueError: for a prompt that cannot be used, or a concurrency too small to share.
    """

    keeps_time = True
    asked = known = 0
    """Verdicts that the model gave, and those of the cache."""

    def __init__(
        self,
        config: ModelJudgeConfig,
        *,
        urls: Callable[[], Awaitable[Sequence[str]]],
        share: tuple[int, int] = (0, 1),
        cache: VerdictCache | None = None,
        questions: Iterable[Question] = tuple(Question),
    ) -> None:
        self.name = config.model
        self.per_rollout = config.per_rollout
        self._config = config
        self._prompts = {
            question: Prompt.load(
                question,
                template=config.prompt,
                coordinates=config.coordinates,
                repetition=config.repetition,
                per_rollout=config.per_rollout and question is Question.GROUNDING,
            )
            for question in questions
        }
        self._client = RetryingClient(
            urls,
            api_key_env=config.api_key_env,
            limit=_share_of(config.concurrency, *share),
            deadline_s=config.deadline_s,
            retries=Retries(attempts=1 + config.max_retries),
        )
        self._images = DataUrls()
        self._cache = cache

    async def ask(self, request: JudgeRequest) -> Verdict:
        """Judge one request."""
        return (await self._judge([request]))[0]

    async def ask_all(self, requests: Sequence[JudgeRequest]) -> list[Verdict]:
        """Judge the claims of one rollout in one call; without `per_rollout`, and for consistency, in one call each."""
        if not requests:
            return []
        if self.per_rollout and requests[0].kind is Question.GROUNDING:
            return await self._judge(requests)
        return list(await asyncio.gather(*map(self.ask, requests)))

    async def close(self) -> None:
        """Close connections and cache."""
        await self._client.close()
        if self._cache is not None:
            await self._cache.close()

    async def _judge(self, requests: Sequence[JudgeRequest]) -> list[Verdict]:
        """One verdict per request; the first has the usage of all."""
        started, kind = time.monotonic(), requests[0].kind
        if kind not in self._prompts:
            verdict = Verdict(None, self.name, Failure.UNREACHABLE, cause=f"this judge was built without {kind} prompt")
            return [verdict] * len(requests)
        limit_s = min(request.limit_s for request in requests)
        case = _Case(requests, self._prompts[kind], Asking(limit_s))
        try:
            verdicts = await self._verdicts(case)
        except CallFailed as error:
            cause = f"{error} (after {case.asking.calls} calls)" if case.asking.calls > 1 else str(error)
            verdicts = self._failed(case, _failure(error), cause, error.text)
        except NoEndpoint as error:
            verdicts = self._failed(case, Failure.UNREACHABLE, str(error))
        except TimeoutError:
            cause = f"no call could start: the judge's servers answered nobody for {limit_s:.3g} s"
            verdicts = self._failed(case, Failure.DEADLINE, cause)
        except Exception as error:  # a judge does not raise
            logger.warning("judge %s: %s", self.name, self._client.chat.without_key(traceback.format_exc()))
            cause = self._client.chat.one_line(f"{type(error).__name__}: {error}")
            verdicts = self._failed(case, Failure.UNREACHABLE, cause)
        return [replace(verdicts[0], usage=self._usage(case, time.monotonic() - started)), *verdicts[1:]]

    async def _verdicts(self, case: _Case) -> list[Verdict]:
        """From the cache or from the model.

        Raises:
            CallFailed, NoEndpoint: when the model gave no reply.
            TimeoutError: when the time was over before it could be asked.
        """
        key = ""
        if self._cache is not None:
            async with asyncio.timeout(case.asking.limit_s):
                key = cache_key(self._reading(case.prompt), (await self._body(case)).text)
                known = await self._cache.get(key)
            if known is not None:
                case.cached = len(case.requests)
                self.known += case.cached
                return self._labelled(known.labels, known.text)
        reply = await self._client.ask(await self._body(case), case.asking)
        case.prompt_tokens, case.completion_tokens = reply.prompt_tokens, reply.completion_tokens
        text = self._client.chat.storable(reply.text)
        answer = plain(reply.text) if self._config.accept_reasoning else reply.text
        labels = case.prompt.parse(answer, len(case.requests))
        if labels is None:
            cause = "the answer is no label" + (", it was cut off" if reply.finish_reason == "length" else "")
            cause += ", it only thought" if reply.reasoning and not reply.text else ""
            return self._failed(case, Failure.INVALID, cause, text)
        self.asked += len(labels)
        if self._cache is not None:
            await asyncio.wait([asyncio.ensure_future(self._cache.put(key, labels, text))], timeout=CACHE_WAIT_S)
        return self._labelled(labels, text)

    def _reading(self, prompt: Prompt) -> str:
        """What asks and what reads the answer: a verdict that was read loosely is none for who reads strictly."""
        return f"{prompt.version} loose" if self._config.accept_reasoning else prompt.version

    async def _body(self, case: _Case) -> PicturedBody:
        """The request, with names by content instead of the images: what a cached verdict's key says."""
        if case.body is None:
            names = {id(image): await self._name(image) for image in case.images}
            body = {
                "model": self._config.model,
                "messages": case.prompt.messages(case.requests, lambda image: names[id(image)]),
                **self._config.parameters,
            }
            if not TOKEN_LIMITS & body.keys() and not self._config.accept_reasoning:
                body["max_tokens"] = TOKENS_PER_LABEL * (1 + len(case.requests))
            if self._config.structured_outputs:
                body["structured_outputs"] = case.prompt.structure(len(case.requests))
            images = {names[id(image)]: image for image in case.images}
            case.body = PicturedBody(json.dumps(body), images, self._images)
        return case.body

    async def _name(self, image: Image) -> str:
        return f"sha256:{await self._images.content_hash(image)}"

    def _labelled(self, labels: Sequence[Label], text: str) -> list[Verdict]:
        return [Verdict(label, self.name, text=text) for label in labels]

    def _failed(self, case: _Case, failure: Failure, cause: str, text: str = "") -> list[Verdict]:
        return [Verdict(None, self.name, failure, cause=cause, text=text)] * len(case.requests)

    def _usage(self, case: _Case, seconds: float) -> Usage:
        price = self._config.price
        return Usage(
            calls=case.asking.calls,
            retries=max(0, case.asking.calls - 1),
            cached=case.cached,
            prompt_tokens=case.prompt_tokens,
            completion_tokens=case.completion_tokens,
            seconds=seconds,
            dollars=(price.prompt * case.prompt_tokens + price.completion * case.completion_tokens) / 1e6,
        )


def _failure(error: CallFailed) -> Failure:
    if error.late:
        return Failure.DEADLINE
    if error.oversized:
        return Failure.OVERSIZED
    return Failure.REFUSED if error.status in REFUSED else Failure.UNREACHABLE


def _share_of(concurrency: int, worker: int, workers: int) -> int:
    """This process's part of the calls under way at one URL; the parts of all add up to the whole."""
    if concurrency < workers:
        raise ValueError(
            f"concurrency={concurrency}: {workers} reward workers share it and each needs one call at least; "
            f"set it to {workers} or more, or lower reward.num_workers"
        )
    return concurrency // workers + (worker < concurrency % workers)
