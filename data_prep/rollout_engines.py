"""Who makes the rollouts of the difficulty filter, as stages of Ray Data: an endpoint, or vLLM in the cluster.

A stage takes rows with a `key` and the numbers of their `missing` rollouts, and gives a row of `rollouts.TEXTS` for
each of these rollouts.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_random_exponential

from data_prep.rollouts import TEXTS, Sampling, chat_messages
from easyr1_fgrpo.model_client.chat import CallFailed, ChatClient, Reply
from easyr1_fgrpo.model_client.endpoints import Endpoints, NoEndpoint, Outcome

if TYPE_CHECKING:
    from ray.data import Dataset

BLOCK_ROWS = 16
"""Rows that travel together: what a kill may cost, times the blocks under way."""

ATTEMPTS = 5
BACK_OFF = wait_random_exponential(multiplier=0.5, max=15.0)
"""Seconds before a call is repeated, on top of what the server asks for: random up to 0.5, 1, 2, 4."""

WORKER_CPUS = 0.01
"""A worker that asks an endpoint mostly waits, and must not keep the readers from starting on a small machine."""

MAX_TEXT = 100_000
"""Characters kept of a response: more than any token limit in use allows, and a bound for a server without one."""

MAX_FAILURE = 300

Engine = Callable[["Dataset"], "Dataset"]


@dataclass(frozen=True)
class Endpoint:
    """An OpenAI-compatible endpoint.

    Attributes:
        urls: base URLs; the least busy one is asked.
        concurrency: calls that one worker has under way at each URL.
        workers: processes that ask.
        deadline_s: seconds after which a call is given up, and repeated.
        api_key_env: environment variable with the API key, on the machines of the workers; empty for none.
    """

    urls: Sequence[str]
    concurrency: int = 64
    workers: int = 1
    deadline_s: float = 300.0
    api_key_env: str = ""

    def engine(self, sampling: Sampling) -> Engine:
        """The stage that asks it."""
        from ray.data import ActorPoolStrategy

        # Several blocks at once in a worker, so that the last answers of one do not leave it idle.
        at_once = 1 + math.ceil(self.concurrency * len(self.urls) / (BLOCK_ROWS * sampling.rollouts))
        pool = ActorPoolStrategy(
            size=self.workers, max_concurrent_calls_per_actor=at_once, max_tasks_in_flight_per_actor=at_once
        )
        return lambda rows: rows.map_batches(
            AskEndpoint,
            fn_constructor_args=(self, sampling),
            batch_size=None,
            batch_format="pyarrow",
            compute=pool,
            num_cpus=WORKER_CPUS,
        )


@dataclass(frozen=True)
class Vllm:
    """vLLM inside the Ray cluster (`ray.data.llm`).

    Attributes:
        workers: engines, of `gpus` GPUs each.
        gpus: tensor-parallel size.
        max_model_len: tokens of prompt and response together.
        engine_kwargs: further arguments of vLLM's engine, such as `mm_processor_kwargs` with the pixel budget.
    """

    workers: int = 1
    gpus: int = 1
    max_model_len: int = 9216
    engine_kwargs: dict[str, Any] = field(default_factory=dict)

    def config(self, sampling: Sampling) -> dict[str, Any]:
        """Arguments of `ray.data.llm.vLLMEngineProcessorConfig`."""
        return {
            "model_source": sampling.model,
            "engine_kwargs": {
                "tensor_parallel_size": self.gpus,
                "max_model_len": self.max_model_len,
                # The rollouts of a row share prompt and images.
                "enable_prefix_caching": True,
                **self.engine_kwargs,
            },
            "batch_size": BLOCK_ROWS,
            "concurrency": (self.workers, self.workers),
            "should_continue_on_error": True,
            "prepare_multimodal_stage": {
                "enabled": True,
                "chat_template_content_format": "openai",
                "model_config_kwargs": {"max_model_len": self.max_model_len},
            },
        }

    def engine(self, sampling: Sampling) -> Engine:
        """The stages of vLLM's processor."""
        from ray.data.llm import build_processor, vLLMEngineProcessorConfig

        processor = build_processor(
            vLLMEngineProcessorConfig(**self.config(sampling)),
            preprocess=lambda request: vllm_request(request, sampling),
            postprocess=vllm_reply,
        )
        # A rollout that vLLM could not make does not pass through `postprocess`.
        return lambda rows: processor(rows.flat_map(single_rollouts)).map(vllm_reply)


class AskEndpoint:
    """A worker: asks for the missing rollouts of the rows it gets, all under way at once as far as its places go."""

    def __init__(self, endpoint: Endpoint, sampling: Sampling) -> None:
        self._endpoint, self._sampling = endpoint, sampling
        self._chat = ChatClient(endpoint.api_key_env)
        self._places = Endpoints(self._urls, endpoint.concurrency)

    async def __call__(self, rows: pa.Table) -> pa.Table:
        """Rollouts for rows with `key` and `missing`."""
        texts = await asyncio.gather(*(self._row(row) for row in rows.to_pylist()))
        return pa.Table.from_pylist([text for of_row in texts for text in of_row], schema=TEXTS)

    async def _row(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        try:
            messages = chat_messages(row["prompt"], row["images"])
        except OSError as error:  # Pillow's word for bytes that are no image
            failure = self._chat.one_line(f"unreadable image ({type(error).__name__}: {error})")
            return [_text(row, number, None, failure) for number in row["missing"]]
        return list(await asyncio.gather(*(self._rollout(row, number, messages) for number in row["missing"])))

    async def _rollout(self, row: dict[str, Any], number: int, messages: list[dict[str, Any]]) -> dict[str, Any]:
        retrying = AsyncRetrying(
            retry=retry_if_exception(lambda error: isinstance(error, NoEndpoint) or _passing(error)),
            stop=stop_after_attempt(ATTEMPTS),
            wait=_pause_s,
            reraise=True,
        )
        try:
            reply: Reply = await retrying(self._call, self._sampling.seed_of(row["key"], number), messages)
        except (CallFailed, NoEndpoint) as error:
            return _text(row, number, None, self._chat.one_line(str(error)))
        return _text(row, number, reply.text[:MAX_TEXT], "")

    async def _call(self, seed: int, messages: list[dict[str, Any]]) -> Reply:
        """One call, at the least busy URL."""
        slot = await self._places.take()
        outcome, cause = Outcome.UNKNOWN, ""
        try:
            body = {
                "model": self._sampling.model,
                "messages": messages,
                "temperature": self._sampling.temperature,
                "max_tokens": self._sampling.max_tokens,
                "seed": seed,
            }
            reply = await self._chat.complete(slot.endpoint.url, json.dumps(body).encode(), self._endpoint.deadline_s)
            outcome = Outcome.ALIVE
        except CallFailed as error:
            outcome, cause = error.outcome, str(error)
            raise
        finally:
            self._places.give_back(slot, outcome, cause)
        return reply

    async def _urls(self) -> Sequence[str]:
        return self._endpoint.urls


def single_rollouts(row: dict[str, Any]) -> list[dict[str, Any]]:
    """A row once for each of its missing rollouts; the conversation as JSON, which every stage hands on untouched."""
    conversation = json.dumps(chat_messages(list(row["prompt"]), list(row["images"])))
    return [_text(row, int(number), None, "") | {"conversation": conversation} for number in row["missing"]]


def vllm_request(row: dict[str, Any], sampling: Sampling) -> dict[str, Any]:
    """What vLLM's processor reads of one rollout."""
    return {
        "messages": json.loads(row["conversation"]),
        "sampling_params": {
            "temperature": sampling.temperature,
            "max_tokens": sampling.max_tokens,
            "seed": sampling.seed_of(row["key"], row["number"]),
        },
    }


def vllm_reply(row: dict[str, Any]) -> dict[str, Any]:
    """A row of `TEXTS` from what vLLM's processor gives back; from such a row itself, the same."""
    failure = " ".join(str(row.get("__inference_error__") or row["failure"]).split())
    text = None if failure else row.get("generated_text", row["text"])
    return {name: row[name] for name in ("key", "number", "ground_truth", "choices")} | {
        "text": None if text is None else text[:MAX_TEXT],
        "failure": failure[:MAX_FAILURE],
    }


def _text(row: dict[str, Any], number: int, text: str | None, failure: str) -> dict[str, Any]:
    choices = row["extra_info"]["choices"]
    return {
        "key": row["key"],
        "number": number,
        "ground_truth": row["reward_model"]["ground_truth"],
        "choices": [] if choices is None else list(choices),
        "text": text,
        "failure": failure,
    }


def _passing(error: BaseException) -> bool:
    return isinstance(error, CallFailed) and error.again


def _pause_s(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return (error.retry_after_s if isinstance(error, CallFailed) else 0.0) + BACK_OFF(state)
