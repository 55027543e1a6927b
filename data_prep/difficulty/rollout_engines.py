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

from data_prep.difficulty.rollouts import TEXTS, Sampling, chat_messages
from easyr1_fgrpo.model_client.chat import CallFailed
from easyr1_fgrpo.model_client.endpoints import NoEndpoint
from easyr1_fgrpo.model_client.retrying import Retries, RetryingClient
from easyr1_fgrpo.pictures import UnreadableImage

if TYPE_CHECKING:
    from ray.data import Dataset

BLOCK_ROWS = 16
"""Rows that travel together: what a kill may cost, times the blocks under way."""

RETRIES = Retries(attempts=6)
"""Of one rollout: their pauses add up to eight seconds at most."""

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
    """A worker: asks for the missing rollouts of the rows it gets, all under way at once as far as its slots go."""

    def __init__(self, endpoint: Endpoint, sampling: Sampling) -> None:
        self._sampling = sampling
        self._client = RetryingClient(
            endpoint.urls,
            api_key_env=endpoint.api_key_env,
            limit=endpoint.concurrency,
            deadline_s=endpoint.deadline_s,
            retries=RETRIES,
        )

    async def __call__(self, rows: pa.Table) -> pa.Table:
        """Rollouts for rows with `key` and `missing`."""
        texts = await asyncio.gather(*(self._row(row) for row in rows.to_pylist()))
        return pa.Table.from_pylist([text for of_row in texts for text in of_row], schema=TEXTS)

    async def _row(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        try:
            messages = chat_messages(row["prompt"], row["images"])
        except UnreadableImage as error:
            failure = self._client.chat.one_line(str(error))
            return [_text(row, number, None, failure) for number in row["missing"]]
        return list(await asyncio.gather(*(self._rollout(row, number, messages) for number in row["missing"])))

    async def _rollout(self, row: dict[str, Any], number: int, messages: list[dict[str, Any]]) -> dict[str, Any]:
        async def body() -> bytes:
            return self._body(messages, self._sampling.seed_of(row["key"], number))

        try:
            reply = await self._client.ask(body)
        except (CallFailed, NoEndpoint) as error:
            return _text(row, number, None, self._client.chat.one_line(str(error)))
        return _text(row, number, reply.whole[:MAX_TEXT], "")

    def _body(self, messages: list[dict[str, Any]], seed: int) -> bytes:
        body = {
            "model": self._sampling.model,
            "messages": messages,
            "temperature": self._sampling.temperature,
            "max_tokens": self._sampling.max_tokens,
            "seed": seed,
        }
        return json.dumps(body).encode()


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
