"""The tiny Qwen2.5-VL with random weights, as a model and as a checkpoint folder: the same wherever tests need one."""

import json

import torch

from easyr1_fgrpo.miniature.model import build_model, save_checkpoint
from easyr1_fgrpo.miniature.tokenizer import build_tokenizer
from easyr1_fgrpo.miniature.worlds import one_step


def model():
    return build_model(build_tokenizer(), seed=0)


def save(folder, world=one_step, change=lambda model: None):
    """Write a checkpoint for a world's language, after `change` was made to the model."""
    tokenizer = build_tokenizer(world)
    built = build_model(tokenizer, seed=0)
    change(built)
    save_checkpoint(built, tokenizer, folder)
    return folder


def untie(model):
    """Give the output embeddings of its own, as Qwen2.5-VL-7B has them and the smaller models do not."""
    own = torch.randn(model.lm_head.weight.shape, generator=torch.Generator().manual_seed(1))
    model.lm_head.weight = torch.nn.Parameter(0.08 * own)
    model.config.tie_word_embeddings = model.config.text_config.tie_word_embeddings = False


def save_qwen3_vl(folder):
    """Write a Qwen3-VL as small: its own vision tower, patches of 16 pixels, the same tokenizer."""
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    save(folder)
    config = json.loads((folder / "config.json").read_text())
    shared = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    shared += ("num_key_value_heads", "initializer_range", "rope_parameters", "eos_token_id", "pad_token_id")
    text = {name: config["text_config"][name] for name in shared} | {"head_dim": 32}
    vision = {"depth": 2, "hidden_size": 64, "intermediate_size": 128, "num_heads": 4, "out_hidden_size": 96,
              "deepstack_visual_indexes": [0, 1], "num_position_embeddings": 64, "initializer_range": 0.08}  # fmt: skip
    tokens = {name: token for name, token in config.items() if name.endswith("_token_id")}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        built = Qwen3VLForConditionalGeneration(
            Qwen3VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=True, **tokens)
        )
    built.save_pretrained(folder)
    processor = folder / "preprocessor_config.json"
    patches = {"patch_size": 16, "processor_class": "Qwen3VLProcessor"}
    processor.write_text(json.dumps(json.loads(processor.read_text()) | patches))
    return folder
