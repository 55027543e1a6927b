"""Whether the attention kernels agree: log-probs of the same traces under flash-attn and under PyTorch's attention.

On GPUs verl packs the rollouts of a batch into one row and leaves it to flash-attn to keep them apart. A build of it
that does not fit the card, torch or verl shows in nothing but worse numbers. Here verl's own engine, loaded as training
loads it, computes log-probs of traces of several lengths, once as PyTorch does (padded), then in the other ways.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from omegaconf import OmegaConf

ROWS = 16
BOUND = 0.05
"""On the mean difference of log-probs. On a CPU bfloat16 rounded by 0.008; packed rows that saw each other gave 1.5."""


@dataclass(frozen=True)
class Way:
    """One way to compute attention.

    Attributes:
        attention: transformers' name of the implementation.
        packed: whether rows lie end to end in one, as with `use_remove_padding=true`; otherwise they are padded.
    """

    attention: str
    packed: bool = False

    def __str__(self) -> str:
        return f"{self.attention}, {'packed' if self.packed else 'padded'}"


REFERENCE = Way("sdpa")
WAYS = {"cuda": (Way("flash_attention_2"), Way("flash_attention_2", packed=True)), "cpu": (Way("eager"),)}
"""What is compared with the reference on each device. The packed way last: verl patches the model's class for it."""


def differences(config: Any) -> Iterator[tuple[Way, float, float]]:
    """Compare every way of the run's device with the reference.

    Args:
        config: the whole composed config of a run whose stages are made: its policy reads its warm start's traces.

    Yields:
        The way, and the mean and the largest difference of a token's log-prob.
    """
    with _alone(config.trainer.device):
        reference = log_probs(config, REFERENCE)
        for way in WAYS[config.trainer.device]:
            difference = (log_probs(config, way) - reference).abs()
            yield way, float(difference.mean()), float(difference.max())


def log_probs(config: Any, way: Way) -> torch.Tensor:
    """Log-probs of the first `ROWS` traces, each cut to a length of its own: all tokens but a trace's first, (N,)."""
    from verl.utils import tensordict_utils as tu
    from verl.utils.config import omega_conf_to_dataclass
    from verl.utils.dataset.dataset_utils import DatasetPadMode, SFTTensorCollator
    from verl.workers.engine import EngineRegistry

    part = OmegaConf.create(OmegaConf.to_container(config.actor_rollout_ref, resolve=True))
    part.model.use_remove_padding = way.packed
    part.model.override_config.attn_implementation = way.attention
    part.actor.fsdp_config.forward_only = True
    part.actor.fsdp_config.full_determinism = False  # a switch of the whole process
    model, actor = omega_conf_to_dataclass(part.model), omega_conf_to_dataclass(part.actor)
    engine = EngineRegistry.new(
        model_type="language_model",
        backend=actor.strategy,
        model_config=model,
        engine_config=actor.engine,
        optimizer_config=actor.optim,
        checkpoint_config=actor.checkpoint,
    )
    engine.initialize()
    rows = _rows(config, model)
    batch = tu.get_tensordict(SFTTensorCollator(DatasetPadMode.NO_PADDING)(rows), {})
    tu.assign_non_tensor(
        batch,
        use_remove_padding=way.packed,
        use_dynamic_bsz=True,
        max_token_len_per_gpu=sum(len(row["input_ids"]) for row in rows),
        temperature=1.0,
    )
    with engine.eval_mode():
        nested = engine.infer_batch(batch, loss_function=None)["model_output"]["log_probs"]
    # The last of each trace is of the token behind its end.
    return torch.cat([row[:-1] for row in nested.unbind()]).float().cpu()


def _rows(config: Any, model: Any) -> list[dict[str, Any]]:
    from easyr1_fgrpo.verl_plugin.dataset import BudgetedTraces

    data = config.data
    settings = OmegaConf.create(
        {
            "image_budget": data.image_budget,
            "pad_mode": "no_padding",
            "max_length": data.max_prompt_length + data.max_response_length,
        }
    )
    dataset = BudgetedTraces(config.stages.sft_file, model.tokenizer, settings, processor=model.processor)
    rows = [dataset[number] for number in range(ROWS)]
    for number, row in enumerate(rows):
        length = len(row["input_ids"]) - number
        row |= {key: row[key][..., :length] for key in ("input_ids", "position_ids", "loss_mask")}
    return rows


@contextmanager
def _alone(device: str) -> Iterator[None]:
    """A process group of this process, which FSDP asks for."""
    backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
    dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        dist.destroy_process_group()
