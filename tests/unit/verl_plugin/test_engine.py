from types import SimpleNamespace

import pytest
import torch
from tensordict import NonTensorStack, TensorDict
from torch import nn
from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration
from verl.workers.engine import FSDPEngineWithLMHead

from easyr1_fgrpo.verl_plugin import engine as engine_module
from easyr1_fgrpo.verl_plugin.engine import FrozenVisionEngine


@pytest.fixture
def build(monkeypatch):
    """Builds a given model as the engine does, with an override of the model's config."""

    def build(model, **override):
        monkeypatch.setattr(FSDPEngineWithLMHead, "_build_module", lambda self: model)
        engine = object.__new__(FrozenVisionEngine)
        engine.model_config = SimpleNamespace(override_config=override)
        return engine._build_module()

    return build


def trainable(model):
    return {name for name, weight in model.named_parameters() if weight.requires_grad}


def names(model, part):
    return {name for name, _ in model.named_parameters() if part in name}


def test_a_frozen_tower_takes_its_projector_along_and_nothing_else(build, tiny_model):
    everything, tower = names(tiny_model, ""), names(tiny_model, ".visual.")
    assert names(tiny_model, ".visual.merger.") < tower < everything
    assert build(tiny_model, freeze_vision_tower=True) is tiny_model
    assert trainable(tiny_model) == everything - tower


def test_keep_projector_leaves_the_merger_trainable(build, tiny_model):
    everything, tower, merger = (names(tiny_model, part) for part in ("", ".visual.", ".visual.merger."))
    build(tiny_model, freeze_vision_tower="keep_projector")
    assert merger
    assert trainable(tiny_model) == everything - tower | merger


def test_keep_projector_leaves_qwen3s_deepstack_mergers_trainable(build):
    sizes = {"hidden_size": 16, "num_heads": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8}
    config = Qwen3VLConfig(
        text_config={**sizes, "intermediate_size": 16, "num_hidden_layers": 1, "vocab_size": 8},
        vision_config={**sizes, "intermediate_size": 16, "out_hidden_size": 16, "depth": 3,
                       "deepstack_visual_indexes": [0, 1]},
    )  # fmt: skip
    with torch.device("meta"):
        model = build(Qwen3VLForConditionalGeneration(config), freeze_vision_tower="keep_projector")
    tower = {name for name in trainable(model) if ".visual." in name}
    deepstack = names(model, ".visual.deepstack_merger_list.")
    assert deepstack
    assert tower == names(model, ".visual.merger.") | deepstack


@pytest.mark.parametrize("override", [{}, {"freeze_vision_tower": False}])
def test_nothing_is_frozen_unasked(build, tiny_model, override):
    build(tiny_model, **override)
    assert trainable(tiny_model) == names(tiny_model, "")


def test_the_tower_is_found_inside_the_base_model_too(build, tiny_model):
    class Wrapper(nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

    wrapped = Wrapper(tiny_model.model)
    build(wrapped, freeze_vision_tower=True)
    assert trainable(wrapped) == names(wrapped, "") - names(wrapped, ".visual.")


@pytest.mark.parametrize("model", [nn.Linear(2, 2), nn.ModuleDict({"model": nn.Linear(2, 2)})])
def test_a_model_without_a_tower_is_refused(build, model):
    with pytest.raises(ValueError, match=r"freeze_vision_tower=True but \w+ has no vision tower: set it to false"):
        build(model, freeze_vision_tower=True)


def test_an_unknown_wish_is_refused(build, tiny_model):
    with pytest.raises(ValueError, match="is true, false or keep_projector, got 'projector'"):
        build(tiny_model, freeze_vision_tower="projector")


def test_on_the_cpu_a_batch_stays_where_it_is(monkeypatch):
    seen = []
    monkeypatch.setattr(FSDPEngineWithLMHead, "forward_step", lambda self, batch, loss, forward: seen.append(batch))
    monkeypatch.setattr(engine_module, "get_device_name", lambda: "cpu")
    batch = TensorDict({"ids": torch.arange(3), "pictures": NonTensorStack("a", "b", "c")}, batch_size=[3])
    object.__new__(FrozenVisionEngine).forward_step(batch, None, True)
    (handed_on,) = seen
    assert handed_on.to(torch.device("cpu")) is batch
