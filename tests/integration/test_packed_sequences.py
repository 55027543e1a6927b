"""What GPU users train with and no CPU recipe does: rows packed into one sequence, and flash-attn over it.

Packed, transformers, verl's patches of its models, and our engine between them have to give what padded rows give.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny
import torch

from . import flash_attn_stand_in
from .engine_ranks import log_probs, on_ranks, plain_log_probs, start_worker, update, weights_of

pytestmark = pytest.mark.integration

MODELS = {"qwen2_5_vl": tiny.save, "qwen3_vl": tiny.save_qwen3_vl}
GPU = (
    "scale=gpus_8",
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=100",  # several short rows, or a long one alone
    # Float32 tells a wrong neighbour or position from rounding; compiling takes longer than all the rest.
    "+actor_rollout_ref.actor.fsdp_config.mixed_precision={param_dtype:fp32,reduce_dtype:fp32,buffer_dtype:fp32}",
    "actor_rollout_ref.actor.fsdp_config.use_torch_compile=false",
)


def padded_and_packed(model: Path) -> dict[str, Any]:
    flash_attn_stand_in.install()
    found = {"plain": plain_log_probs(model)}
    padded = start_worker(model)
    found["padded"] = log_probs(padded, model)
    update(padded, model)
    assert flash_attn_stand_in.read == []
    packed = start_worker(model, *GPU)
    found["packed"] = log_probs(packed, model)
    update(packed, model)
    return found | {"read": flash_attn_stand_in.read, "updated": (weights_of(padded), weights_of(packed))}


@pytest.mark.parametrize("name", MODELS)
def test_packed_rows_are_read_and_learned_as_padded_ones(name: str, tmp_path: Path) -> None:
    model = MODELS[name](tmp_path / "model")
    for rank in on_ranks(tmp_path / "ranks", padded_and_packed, model):
        rows = {len(row) + 1 for row in rank["plain"]}
        of_text = [lengths for lengths in rank["read"] if rows.issuperset(lengths)]
        assert {len(lengths) for lengths in of_text} >= {1, 2}
        for way in ("padded", "packed"):
            torch.testing.assert_close(rank[way], rank["plain"], atol=1e-5, rtol=0)
        # Adam's first step is the learning rate, 6e-4, for the smallest gradient too: its sign may be rounding.
        torch.testing.assert_close(*rank["updated"], atol=1e-4, rtol=0)
