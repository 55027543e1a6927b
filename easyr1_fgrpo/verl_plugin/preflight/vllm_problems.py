"""What vLLM refuses or loses when it loads a model, minutes into a run or hours: heads, positions, pictures."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.version import Version

from easyr1_fgrpo.config.judges import VllmServerConfig
from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.verl_plugin.preflight.shape import shape_of

BLIND_SINCE = Version("0.29")
"""From here on vLLM keeps the mean and the standard deviation of pictures in buffers that no weight sync brings."""


def policy_problems(config: Any) -> Iterator[str]:
    """How the rollout engine is split, and what of its settings vLLM cannot take."""
    rollout, model = config.actor_rollout_ref.rollout, str(config.actor_rollout_ref.model.path)
    on_vllm, node = rollout.name == "vllm", config.trainer.n_gpus_per_node
    shape = shape_of(config) if on_vllm else None
    heads = (shape.attention_heads, shape.key_value_heads) if shape else None
    key = f"actor_rollout_ref.rollout.tensor_model_parallel_size={rollout.tensor_model_parallel_size}"
    yield from _split_problems(key, rollout.tensor_model_parallel_size, model, heads, node)
    if not on_vllm:
        return
    longest = config.data.max_prompt_length + config.data.max_response_length
    asked, key = rollout.max_model_len, "actor_rollout_ref.rollout.max_model_len"
    if asked is None:
        asked, key = longest, "data.max_prompt_length + data.max_response_length"
    positions = _text_config(model).get("max_position_embeddings", asked)
    if asked > positions:
        yield f"{key}={asked}: {model} has positions for {positions} tokens, and vLLM refuses more; lower it"
    version = _vllm()
    if "dummy" in str(rollout.load_format) and (version is None or version >= BLIND_SINCE):
        yield (
            f"actor_rollout_ref.rollout.load_format={rollout.load_format}: vLLM {version or f'from {BLIND_SINCE} on'} "
            "loses what pictures are normalised with, which no weight sync brings: rollouts would see nothing; set it "
            "to auto"
        )


def judge_server_problems(settings: FgrpoConfig) -> Iterator[str]:
    """How judge servers are split, where their models are here to be looked at."""
    for name, server in settings.reward_servers.items():
        if isinstance(server, VllmServerConfig) and (text := _text_config(server.model)):
            attention = text["num_attention_heads"]
            heads = attention, text.get("num_key_value_heads") or attention
            key = f"fgrpo.reward_servers.{name}.tensor_parallel_size={server.tensor_parallel_size}"
            yield from _split_problems(key, server.tensor_parallel_size, server.model, heads)


def _split_problems(
    what: str, size: int, model: str, heads: tuple[int, int] | None, node: int | None = None
) -> Iterator[str]:
    """A tensor parallel size that splits no node evenly, or no model.

    Args:
        what: key and value.
        size: the value.
        model: which one is split.
        heads: its heads, in all and of keys and values; None where they are not known. vLLM deals out the former, and
            deals out the latter or copies each to as many GPUs as any other.
        node: GPUs of a node, for an engine that has to lie on one beside others of its size.
    """

    def fits(size: int) -> bool:
        if node is not None and node % size:
            return False
        return heads is None or (heads[0] % size == 0 and (heads[1] % size == 0 or size % heads[1] == 0))

    if not fits(size):
        reasons = [f"the {node} GPUs of a node (trainer.n_gpus_per_node={node})"] if node is not None else []
        reasons += [f"the {heads[0]} heads of {model}, {heads[1]} of keys and values"] if heads is not None else []
        most = min(number for number in (node, heads and heads[0]) if number)
        fitting = ", ".join(str(size) for size in range(1, most + 1) if fits(size))
        yield f"{what}: does not divide {' and '.join(reasons)}; take one of {fitting}"


def _text_config(model: str) -> dict[str, Any]:
    """config.json of a model's language part, from its folder or the hub's cache on this machine; empty elsewhere."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    path: Any = Path(model).expanduser() / "config.json"
    if not path.exists():
        try:
            path = try_to_load_from_cache(model, "config.json")
        except HFValidationError:  # a folder that is not here
            return {}
    if not isinstance(path, str | Path):
        return {}
    whole: dict[str, Any] = json.loads(Path(path).read_bytes())
    text: dict[str, Any] = whole.get("text_config", whole)
    return text


def _vllm() -> Version | None:
    try:
        return Version(importlib.metadata.version("vllm"))
    except importlib.metadata.PackageNotFoundError:
        return None
