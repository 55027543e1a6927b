"""Untied embeddings on two ranks, as Qwen2.5-VL-7B has them: verl builds rank 1 without weights.

Where they are tied, every rank reads the checkpoint; where they are not, rank 0 does and sends each shard to its rank.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import tiny
import torch
from torch.distributed.tensor import DTensor
from transformers import AutoModelForImageTextToText

from .engine_ranks import log_probs, on_ranks, plain_log_probs, start_worker, update, weights_of

pytestmark = pytest.mark.integration


def train_a_step(model: Path) -> dict[str, Any]:
    from easyr1_fgrpo.verl_plugin.engine import FrozenVisionEngine

    expected = plain_log_probs(model)
    built = []
    build = FrozenVisionEngine._build_module

    def build_and_look(engine: Any) -> Any:
        module = build(engine)
        built.append({weight.device.type for weight in module.parameters()})
        return module

    with mock.patch.object(FrozenVisionEngine, "_build_module", build_and_look):
        worker = start_worker(model)
    module = worker.actor.engine.module
    found = {
        "built_on": built,
        "trainable": {name for name, weight in module.named_parameters() if weight.requires_grad},
        "whole": [name for name, weight in module.named_parameters() if not isinstance(weight, DTensor)],
        "before": weights_of(worker),
        "log_probs": log_probs(worker, model),
        "expected": expected,
    }
    update(worker, model)
    return found | {"after": weights_of(worker)}


def test_two_ranks_hold_one_model(tmp_path: Path) -> None:
    model = tiny.save(tmp_path / "model", change=tiny.untie)
    first, second = on_ranks(tmp_path / "ranks", train_a_step, model)
    assert (first["built_on"], second["built_on"]) == ([{"cpu"}], [{"meta"}])
    saved = AutoModelForImageTextToText.from_pretrained(model).state_dict()
    vision = {name for name in saved if ".visual." in name}
    assert not torch.equal(saved["lm_head.weight"], saved["model.language_model.embed_tokens.weight"])
    for rank in (first, second):
        assert rank["whole"] == [], "each rank holds a shard"
        assert rank["trainable"] == saved.keys() - vision
        torch.testing.assert_close(rank["before"], dict(saved), atol=0, rtol=0)
        torch.testing.assert_close(rank["log_probs"], rank["expected"], atol=1e-5, rtol=0)
        assert {name for name in saved if torch.equal(rank["after"][name], saved[name])} == vision
    torch.testing.assert_close(first["after"], second["after"], atol=0, rtol=0)
