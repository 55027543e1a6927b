"""The adapter of run_fgrpo_qwen25vl_7b_lora.sh on two ranks: trained, sent to rollouts, saved, resumed, exported.

Its group of the config, put on a tiny model with untied embeddings, as the 7B model has them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from omegaconf import OmegaConf
from transformers import AutoModelForImageTextToText

from easyr1_fgrpo.checkpoints import MARKER, step_folder
from easyr1_fgrpo.config.load import load_config
from easyr1_fgrpo.export import loadable

from .engine_ranks import log_probs, on_ranks, plain_log_probs, start_worker, update

pytestmark = pytest.mark.integration

SCALE = 2.0
OVERRIDES = (
    "backbone=qwen2_5_vl_7b_lora",
    "actor_rollout_ref.model.lora_alpha=128",  # SCALE times its rank of 64
    "actor_rollout_ref.actor.optim.lr=1e-2",  # so that one step tells
)
LAYERS = 3
LINEAR = (
    *(f"self_attn.{name}_proj" for name in ("q", "k", "v", "o")),
    *(f"mlp.{name}_proj" for name in ("gate", "up", "down")),
)
ADAPTED = {f"model.language_model.layers.{layer}.{name}" for layer in range(LAYERS) for name in LINEAR}
"""What the adapter is on: every linear layer of the language model, none of the vision tower, not the output."""


@dataclass(frozen=True)
class Trained:
    """What every rank found, and where the run is."""

    model: Path
    run: Path
    ranks: list[dict[str, Any]]

    @property
    def checkpoint(self) -> Path:
        return step_folder(self.run / "checkpoints", 1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("lora")
    model, run = tiny.save(folder / "model", change=tiny.untie), folder / "run"
    return Trained(model, run, on_ranks(folder / "ranks", train, model, step_folder(run / "checkpoints", 1)))


def train(model: Path, checkpoint: Path) -> dict[str, Any]:
    """Two steps, saved after the first."""
    base = plain_log_probs(model)
    worker = start_worker(model, *OVERRIDES)
    untrained = log_probs(worker, model)
    update(worker, model)
    worker.save_checkpoint(str(checkpoint / "actor"), global_step=1)
    saved = sent(worker)
    adapted, reference = log_probs(worker, model), log_probs(worker, model, no_lora_adapter=True)
    update(worker, model)
    named = worker.actor.engine.module.named_parameters()
    return {
        "log_probs": {"base": base, "untrained": untrained, "adapted": adapted, "reference": reference},
        "trainable": {name for name, weight in named if weight.requires_grad},
        "saved": saved,
        "second": sent(worker),
    }


def resume(model: Path, checkpoint: Path) -> dict[str, Any]:
    """The second step, from what was saved after the first."""
    worker = start_worker(model, *OVERRIDES)
    worker.load_checkpoint(str(checkpoint / "actor"))
    saved = sent(worker)
    update(worker, model)
    return {"saved": saved, "second": sent(worker)}


def sent(worker: Any) -> dict[str, torch.Tensor]:
    """What goes to the rollout engine, as verl's worker asks for it."""
    rollout = worker.config.rollout
    weights, _ = worker.actor.engine.get_per_tensor_param(
        layered_summon=rollout.layered_summon, base_sync_done="dummy" not in rollout.load_format
    )
    return {name: weight.clone() for name, weight in weights}


def test_the_adapter_alone_is_trained(trained: Trained) -> None:
    for rank in trained.ranks:
        assert rank["trainable"] == {
            f"base_model.model.{name}.lora_{side}.default.weight" for name in ADAPTED for side in "AB"
        }


def test_rollouts_are_sent_one_adapter_under_pefts_names(trained: Trained) -> None:
    first, second = (rank["saved"] for rank in trained.ranks)
    assert first.keys() == {f"base_model.model.{name}.lora_{side}.weight" for name in ADAPTED for side in "AB"}
    assert all(weight.any() for weight in first.values())
    torch.testing.assert_close(first, second, atol=0, rtol=0)


def test_without_the_adapter_the_policy_is_its_own_reference(trained: Trained) -> None:
    for found in (rank["log_probs"] for rank in trained.ranks):
        for same in ("untrained", "reference"):
            torch.testing.assert_close(found[same], found["base"], atol=1e-5, rtol=0)
        assert all((new - old).abs().max() > 0.1 for new, old in zip(found["adapted"], found["base"], strict=True))


def test_resumed_it_goes_on_to_the_same_weights(trained: Trained, tmp_path: Path) -> None:
    for before, after in zip(trained.ranks, on_ranks(tmp_path, resume, trained.model, trained.checkpoint), strict=True):
        for step in ("saved", "second"):
            torch.testing.assert_close(after[step], before[step], atol=0, rtol=0)
        assert any(not torch.equal(after["second"][name], weight) for name, weight in after["saved"].items())


def test_a_checkpoint_has_no_weights_that_look_like_a_model(trained: Trained) -> None:
    """verl would gather them under peft's names, 32 GB that transformers reads as a model of random weights."""
    assert list((trained.checkpoint / "actor/huggingface").glob("*.safetensors")) == []


def test_exported_it_is_merged_into_its_base_and_answers_as_it_did(trained: Trained, tmp_path: Path) -> None:
    settings = load_config([f"actor_rollout_ref.model.path={trained.model}", *OVERRIDES])
    state = {"controller": "dual_ascent", "multipliers": dict.fromkeys(settings.fgrpo.constraint_keys, 1.0)}
    (trained.checkpoint / "fgrpo.json").write_text(json.dumps(state))
    (trained.run / "checkpoints" / MARKER).write_text("1")
    OmegaConf.save(settings, trained.run / "config.yaml", resolve=True)
    out = loadable(trained.checkpoint)  # what a run's last table is of
    assert out == loadable(trained.checkpoint) == trained.checkpoint / "merged"

    base, merged = (AutoModelForImageTextToText.from_pretrained(folder).state_dict() for folder in (trained.model, out))
    assert merged.keys() == base.keys()
    adapter = trained.ranks[0]["saved"]
    for name, weight in base.items():
        layer = name.removesuffix(".weight")
        if layer in ADAPTED:
            low, high = (adapter[f"base_model.model.{layer}.lora_{side}.weight"] for side in "AB")
            change = SCALE * high @ low
            assert change.abs().max() > 0.01
            torch.testing.assert_close(merged[name].float(), weight + change, atol=2**-8, rtol=2**-7, msg=name)
        else:
            torch.testing.assert_close(merged[name], weight.bfloat16(), atol=0, rtol=0, msg=name)
    exported = on_ranks(tmp_path / "ranks", plain_log_probs, out)
    for rank, found in zip(trained.ranks, exported, strict=True):
        torch.testing.assert_close(found, rank["log_probs"]["adapted"], atol=0.1, rtol=0)
