"""Memory and disk counted by hand, shapes read off checkpoints and equal to the published models'."""

from __future__ import annotations

import pytest
import torch
from omegaconf import OmegaConf

from easyr1_fgrpo.config.load import load_config
from easyr1_fgrpo.verl_plugin.preflight.shape import Shape, checkpoint_bytes, memory_of, shape_of

GIB = 2**30
TEN = Shape(parameters=10 * GIB, frozen=2 * GIB, layers=4, attention_heads=8, key_value_heads=2, head_size=64)


def gpu_config(*overrides):
    return load_config(["backbone=qwen2_5_vl_7b", "dataset=fgrpo", "judge=qwen3_vl_30b", "scale=gpus_4", *overrides])


def test_memory_by_hand():
    memory = memory_of(TEN, gpu_config())
    assert memory.weights == 10 * GIB  # 10 Gi parameters x 4 bytes over 4 GPUs
    assert memory.gradients == 8 * GIB  # the frozen 2 Gi have none
    assert memory.optimizer == 16 * GIB  # two moments
    assert memory.rollout == pytest.approx(48 * GIB)
    assert memory.rollout_weights == 20 * GIB
    assert memory.kv_tokens == int((0.6 * 80 - 20) * GIB) // (2 * 4 * 2 * 64 * 2)
    assert memory.while_updating == 34 * GIB
    assert memory.while_rolling_out == pytest.approx(74 * GIB)


def test_offloading_takes_shards_off_the_gpu():
    fsdp = "actor_rollout_ref.actor.fsdp_config"
    memory = memory_of(TEN, gpu_config(f"{fsdp}.param_offload=true", f"{fsdp}.optimizer_offload=true"))
    assert (memory.weights, memory.optimizer) == (0.0, 0.0)


def test_tensor_parallel_splits_weights_and_cache():
    memory = memory_of(TEN, gpu_config("actor_rollout_ref.rollout.tensor_model_parallel_size=2"))
    assert memory.rollout_weights == 10 * GIB
    assert memory.kv_tokens == int((0.6 * 80 - 10) * GIB / (2 * 4 * 2 * 64 * 2 / 2))


def test_checkpoint_by_hand():
    # model 40 + two moments of what is trained 64 + the export, in float32 as the weights are trained, 40
    assert checkpoint_bytes(TEN, gpu_config()) == (40 + 64 + 40) * GIB


def test_a_checkpoint_of_the_7b_by_hand():
    # 8,292,166,656 parameters, 7,615,616,512 of them trained: 2 x 8.292 x 4 + 2 x 7.616 x 4 = 127.3 GB
    config = gpu_config()
    assert checkpoint_bytes(shape_of(config), config) == 2 * 33_168_666_624 + 2 * 30_462_466_048
    assert checkpoint_bytes(shape_of(config), config) / GIB == pytest.approx(118.5, abs=0.05)


def test_shape_is_read_off_a_checkpoint(checkpoint):
    from safetensors.torch import load_file

    config = load_config([f"actor_rollout_ref.model.path={checkpoint}"])
    weights = load_file(f"{checkpoint}/model.safetensors")
    shape = shape_of(config)
    assert shape.parameters == sum(weight.numel() for weight in weights.values())
    assert shape.frozen == sum(weight.numel() for name, weight in weights.items() if "visual." in name)
    unfrozen = OmegaConf.merge(config, {"actor_rollout_ref": {"actor": {"freeze_vision_tower": False}}})
    assert shape_of(unfrozen).frozen == 0


def qwen2_5(text, out_hidden_size, tied):
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    vision = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "patch_size": 14}
    config = Qwen2_5_VLConfig(
        text_config={**text, "tie_word_embeddings": tied},
        vision_config={**vision, "out_hidden_size": out_hidden_size},
        tie_word_embeddings=tied,
    )
    return Qwen2_5_VLForConditionalGeneration, config


def qwen3():
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    text = {"hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36, "num_attention_heads": 32,
            "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936}  # fmt: skip
    vision = {"depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "num_heads": 16, "out_hidden_size": 4096,
              "patch_size": 16, "deepstack_visual_indexes": [8, 16, 24]}  # fmt: skip
    return Qwen3VLForConditionalGeneration, Qwen3VLConfig(
        text_config=text, vision_config=vision, tie_word_embeddings=False
    )


@pytest.mark.parametrize(
    ("backbone", "model"),
    [
        (
            "qwen2_5_vl_7b",
            lambda: qwen2_5(
                {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
                 "num_key_value_heads": 4, "vocab_size": 152064}, 3584, tied=False),
        ),
        (
            "qwen2_5_vl_3b",
            lambda: qwen2_5(
                {"hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16,
                 "num_key_value_heads": 2, "vocab_size": 151936}, 2048, tied=True),
        ),
        ("qwen3_vl_8b", qwen3),
    ],
)  # fmt: skip
def test_shapes_of_the_groups_are_those_of_the_architectures(backbone, model):
    """The published config.json numbers, built without memory."""
    cls, config = model()
    with torch.device("meta"):
        built = cls(config)
    text = config.text_config
    shape = shape_of(load_config([f"backbone={backbone}", "dataset=fgrpo", "scale=gpus_8"]))
    assert shape == Shape(
        parameters=sum(weight.numel() for weight in built.parameters()),
        frozen=sum(weight.numel() for weight in built.model.visual.parameters()),
        layers=text.num_hidden_layers,
        attention_heads=text.num_attention_heads,
        key_value_heads=text.num_key_value_heads,
        head_size=getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads,
    )


def test_the_adapter_is_what_lora_trains():
    config = load_config(["backbone=qwen2_5_vl_7b_lora", "dataset=fgrpo", "scale=gpus_4"])
    hidden, kv, inner, layers, rank = 3584, 512, 18944, 28, config.actor_rollout_ref.model.lora_rank
    sides = [(hidden, hidden), (hidden, kv), (hidden, kv), (hidden, hidden), *[(hidden, inner)] * 2, (inner, hidden)]
    shape = shape_of(config)
    assert shape.parameters - shape.frozen == rank * layers * sum(map(sum, sides))
    assert shape.frozen == shape_of(load_config(["backbone=qwen2_5_vl_7b", "dataset=fgrpo"])).parameters


def test_a_checkpoint_does_not_hide_the_adapter(checkpoint):
    config = load_config(["backbone=qwen2_5_vl_7b_lora", "dataset=fgrpo", f"actor_rollout_ref.model.path={checkpoint}"])
    assert shape_of(config) == Shape(**config.model_shape)
