"""How large a policy is, and what it takes on a GPU: weights, gradients, optimizer, KV cache, checkpoints."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

_BYTES = {"fp32": 4, "float32": 4, "bf16": 2, "bfloat16": 2, "fp16": 2, "float16": 2}


@dataclass(frozen=True)
class Shape:
    """A model's size.

    Attributes:
        parameters: in all.
        frozen: of them, those without gradient and optimizer state.
        layers, attention_heads, key_value_heads, head_size: of the language model.
    """

    parameters: int
    frozen: int
    layers: int
    attention_heads: int
    key_value_heads: int
    head_size: int


@dataclass(frozen=True)
class Memory:
    """Bytes on one GPU of the policy, activations not counted.

    Attributes:
        weights, gradients, optimizer: this GPU's shard, there through the rollout unless it is offloaded.
        rollout: what vLLM takes, weights included.
        rollout_weights: its copy of the weights.
        kv_cache: what is left of `rollout` for keys and values.
        kv_tokens: how many tokens that holds.
    """

    weights: float
    gradients: float
    optimizer: float
    rollout: float
    rollout_weights: float
    kv_cache: float
    kv_tokens: int

    @property
    def while_updating(self) -> float:
        """Bytes while the policy is updated; vLLM has given its memory back."""
        return self.weights + self.gradients + self.optimizer

    @property
    def while_rolling_out(self) -> float:
        """Bytes while vLLM generates; gradients are gone."""
        return self.weights + self.optimizer + self.rollout


def shape_of(config: Any) -> Shape | None:
    """The policy's shape: read off its checkpoint where that is here, else the config's `model_shape`.

    A checkpoint says nothing of a low-rank adapter that is put on it: with one, the config speaks.

    Returns:
        None when neither says.
    """
    model = config.actor_rollout_ref.model
    folder = Path(str(model.path)).expanduser()
    if model.lora_rank == 0 and (folder / "config.json").exists():
        return _read_shape(folder, frozen=bool(config.actor_rollout_ref.actor.freeze_vision_tower))
    known = OmegaConf.select(config, "model_shape")
    return None if known is None else Shape(**known)


def memory_of(shape: Shape, config: Any) -> Memory:
    """What each GPU of the policy holds under FSDP2 with vLLM on the same GPUs."""
    actor, rollout = config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout
    gpus = config.trainer.n_gpus_per_node * config.trainer.nnodes
    size = _BYTES[actor.fsdp_config.model_dtype]
    trained = shape.parameters - shape.frozen
    total = config.gpu_memory_gib * 2**30
    rollout_weights = shape.parameters * _BYTES[rollout.dtype] / rollout.tensor_model_parallel_size
    taken = rollout.gpu_memory_utilization * total
    token = 2 * shape.layers * shape.key_value_heads * shape.head_size * _BYTES[rollout.dtype]
    kv_cache = max(taken - rollout_weights, 0.0)
    return Memory(
        weights=0.0 if actor.fsdp_config.param_offload else shape.parameters * size / gpus,
        gradients=trained * size / gpus,
        optimizer=0.0 if actor.fsdp_config.optimizer_offload else 2 * trained * size / gpus,
        rollout=taken,
        rollout_weights=rollout_weights,
        kv_cache=kv_cache,
        kv_tokens=int(kv_cache / (token / rollout.tensor_model_parallel_size)),
    )


def checkpoint_bytes(shape: Shape, config: Any) -> float:
    """One checkpoint on disk: what `actor.checkpoint.save_contents` asks for."""
    actor = config.actor_rollout_ref.actor
    size = _BYTES[actor.fsdp_config.model_dtype]
    parts = {
        "model": shape.parameters * size,
        "optimizer": 2 * (shape.parameters - shape.frozen) * size,
        "hf_model": shape.parameters * size,  # verl gathers the weights as they are trained, and casts nothing
    }
    return float(sum(parts.get(part, 0) for part in actor.checkpoint.save_contents))


def _read_shape(folder: Path, *, frozen: bool) -> Shape:
    from safetensors import safe_open

    sizes: dict[str, int] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="numpy") as weights:
            sizes |= {name: prod(weights.get_slice(name).get_shape()) for name in weights.keys()}  # noqa: SIM118
    settings = json.loads((folder / "config.json").read_text())
    text = settings.get("text_config", settings)
    heads = text["num_attention_heads"]
    return Shape(
        parameters=sum(sizes.values()),
        frozen=sum(size for name, size in sizes.items() if "visual." in name) if frozen else 0,
        layers=text["num_hidden_layers"],
        attention_heads=heads,
        key_value_heads=text.get("num_key_value_heads", heads),
        head_size=text.get("head_dim") or text["hidden_size"] // heads,
    )
