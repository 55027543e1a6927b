"""Who answers judges' questions, and the servers they run on: the keys `fgrpo.judges` and `fgrpo.reward_servers`."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from easyr1_fgrpo.config.base import Settings

Name = Annotated[str, Field(min_length=1)]
Convention = Literal["pixels", "thousand"]
"""How a model writes boxes: pixels of the image it is shown (Qwen2.5-VL), or thousandths of its sides (Qwen3-VL)."""


def _base_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("Input should be a URL like http://host:8000/v1")
    if parts.username or parts.password or parts.query:
        # The message must not hold the URL: it would hold the secret.
        raise ValueError("Input should hold no user name, password or query; name a key by api_key_env")
    return url.rstrip("/")


def _variable(name: str) -> str:
    if name and not re.fullmatch("[A-Z_][A-Z0-9_]*", name):
        # It may be the key itself, which the message must not hold.
        raise ValueError("Input should be the name of an environment variable, in capitals; it holds the key")
    return name


def _request(parameters: dict[str, Any]) -> dict[str, Any]:
    if taken := sorted({"model", "messages", "stream", "structured_outputs", "n"} & parameters.keys()):
        raise ValueError(f"{taken[0]}: this field is set from other keys; remove it")
    return parameters


class ServerJudgeConfig(Settings):
    """Asks the judge that the Ray actor `judge-<server>` of this run has built.

    Attributes:
        server: a key of `reward_servers`, kind "embedded".
    """

    kind: Literal["server"]
    server: Name


class LocalJudgeConfig(Settings):
    """Builds the judge in the asking process.

    Attributes:
        target: `package.module:Class`.
        options: its arguments.
    """

    kind: Literal["local"]
    target: Name
    options: dict[str, Any] = Field(default_factory=dict)


class PriceSettings(Settings):
    """What tokens cost, in dollars per million."""

    prompt: Annotated[float, Field(ge=0.0)] = 0.0
    completion: Annotated[float, Field(ge=0.0)] = 0.0


class ModelJudgeConfig(Settings):
    """Asks a language model behind OpenAI-compatible URLs.

    Attributes:
        model: the name under which the servers know it.
        base_urls: like http://host:8000/v1; questions are spread over them, and a dead one is left out for a while.
        server: instead of `base_urls`: a key of `reward_servers`, kind "vllm"; its URL is looked up.
        api_key_env: name of the environment variable that holds the API key; empty for servers that want none.
        concurrency: calls under way at one URL, over all reward workers of the run together; questions whose judges
            are configured alike share it, too.
        deadline_s: seconds for one call; a question with its retries ends `reward.deadline_s` after its first call.
        max_retries: repetitions of a failed call, each at the least busy URL.
        structured_outputs: the servers constrain the answer to the labels (vLLM's `structured_outputs`); whatever they
            do, an answer that is no label is invalid.
        accept_reasoning: a label behind a closed thinking block (`<think>...</think>`), in a code fence or in stars
            counts, too; strictly, an answer is the label and nothing else.
        parameters: further fields of the chat completion request. Without max_tokens or max_completion_tokens among
            them, an answer may be as long as its labels need, with accept_reasoning as the server allows.
        prompt: a custom template file; empty for ours. See `easyr1_fgrpo/judges/prompt.py`.
        coordinates: how the model writes boxes.
        repetition: what a claim that only repeats an earlier one is: "skip" (the paper's prompt) or "incorrect" (its
            section A.1).
        per_rollout: one call for all claims of a rollout instead of one each: cheaper, and less exact.
        price: of tokens, for the logged cost.
    """

    kind: Literal["openai_compatible"]
    model: Name
    base_urls: list[Annotated[str, AfterValidator(_base_url)]] = Field(default_factory=list)
    server: str = ""
    api_key_env: Annotated[str, AfterValidator(_variable)] = ""
    concurrency: Annotated[int, Field(ge=1)] = 64
    deadline_s: Annotated[float, Field(gt=0.0)] = 20.0
    max_retries: Annotated[int, Field(ge=0)] = 3
    structured_outputs: bool = True
    accept_reasoning: bool = False
    parameters: Annotated[dict[str, Any], AfterValidator(_request)] = Field(
        default_factory=lambda: {"temperature": 0.0}
    )
    prompt: str = ""
    coordinates: Convention = "pixels"
    repetition: Literal["skip", "incorrect"] = "skip"
    per_rollout: bool = False
    price: PriceSettings = PriceSettings()

    @model_validator(mode="after")
    def _reachable(self) -> ModelJudgeConfig:
        if bool(self.base_urls) == bool(self.server):
            raise ValueError("give base_urls or server, one of them")
        return self


JudgeConfig = Annotated[ServerJudgeConfig | LocalJudgeConfig | ModelJudgeConfig, Field(discriminator="kind")]


class EmbeddedServerConfig(Settings):
    """A judge `package.module:Class(**options)` in its own Ray actor.

    Attributes:
        target: `package.module:Class` of the judge.
        options: its arguments; relative paths start where the launch command was given.
        num_cpus: logical CPUs of the Ray cluster that the server takes.
        start_deadline_s: seconds until its first answer to a health check, building the judge included.
    """

    kind: Literal["embedded"]
    target: Name
    options: dict[str, Any] = Field(default_factory=dict)
    num_cpus: Annotated[float, Field(ge=0.0)] = 1.0
    start_deadline_s: Annotated[float, Field(gt=0.0)] = 120.0


class VllmServerConfig(Settings):
    """A `vllm serve` process, owned and watched by a Ray actor on the GPUs it reserves.

    Attributes:
        model: hub id or folder; also the name under which it is asked.
        command: the executable and what comes before the model: vLLM may live in another environment than ours.
        tensor_parallel_size: GPUs the model is split over; all on one node.
        gpu_memory_utilization: share of each GPU's memory that vLLM takes.
        num_gpus: GPUs of the Ray cluster that the server reserves; None for as many as it is split over, 0 for a CPU
            build.
        num_cpus: logical CPUs that it reserves.
        port: where it listens; 0 takes a free one, the same over restarts.
        arguments: further `--key value` arguments; True writes the bare `--key`.
        env: further environment variables; never secrets, they are shown.
        start_deadline_s: seconds until its first healthy answer, loading the model included.
    """

    kind: Literal["vllm"]
    model: Name
    command: Annotated[list[Name], Field(min_length=1)] = Field(default_factory=lambda: ["vllm", "serve"])
    tensor_parallel_size: Annotated[int, Field(ge=1)] = 1
    gpu_memory_utilization: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    num_gpus: Annotated[float, Field(ge=0.0)] | None = None
    num_cpus: Annotated[float, Field(ge=0.0)] = 4.0
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    arguments: dict[str, str | int | float | bool] = Field(default_factory=dict)
    env: dict[str, str] = Field(default_factory=dict)
    start_deadline_s: Annotated[float, Field(gt=0.0)] = 1800.0

    @property
    def parallel_size(self) -> int:
        """GPUs that vLLM takes on its node: the tensor, pipeline and data parallel sizes, multiplied."""
        sizes = {key.replace("_", "-"): value for key, value in self.arguments.items()}
        replicas = sizes.get("data-parallel-size-local", sizes.get("data-parallel-size", 1))
        return self.tensor_parallel_size * int(sizes.get("pipeline-parallel-size", 1)) * int(replicas)

    @property
    def gpus(self) -> float:
        """GPUs that the server reserves."""
        return self.parallel_size if self.num_gpus is None else self.num_gpus

    @model_validator(mode="after")
    def _started_as_counted(self) -> VllmServerConfig:
        for key, value in self.arguments.items():
            if key.replace("_", "-") == "tensor-parallel-size":
                raise ValueError(f"arguments.{key}={value}: say it as tensor_parallel_size")
            if key.replace("_", "-") in _SIZES and not (type(value) is int and value >= 1):
                raise ValueError(f"arguments.{key}={value}: give a whole number from 1 on")
        if self.num_gpus and math.ceil(self.num_gpus) < self.parallel_size:
            raise ValueError(
                f"num_gpus={self.num_gpus:g}: vLLM is split over {self.parallel_size} GPUs (tensor_parallel_size x "
                "pipeline-parallel-size x data-parallel-size); reserve as many, or leave it out"
            )
        if self.num_gpus and self.num_gpus > 1 and not self.num_gpus.is_integer():
            raise ValueError(f"num_gpus={self.num_gpus:g}: Ray gives whole GPUs, or a part of one")
        return self


_SIZES = ("pipeline-parallel-size", "data-parallel-size", "data-parallel-size-local")
"""Arguments of `vllm serve` that multiply its GPUs."""


JudgeServerConfig = Annotated[EmbeddedServerConfig | VllmServerConfig, Field(discriminator="kind")]


class JudgeCacheSettings(Settings):
    """Verdicts of model judges, cached between steps and runs.

    Attributes:
        directory: a folder on a local disk (SQLite does not work on network drives); empty for no cache.
        max_gib: size at which the oldest verdicts are dropped, in GiB.
    """

    directory: str = ""
    max_gib: Annotated[float, Field(gt=0.0)] = 4.0
