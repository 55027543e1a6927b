"""A judge for vLLM to serve: the tiny Qwen2.5-VL with a tokenizer of bytes, which reads any prompt, writes any label.

Its weights are random, so its labels mean nothing; without structured outputs it writes no label at all.
"""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2_5_VLForConditionalGeneration

from easyr1_fgrpo.miniature.model import build_config, save_checkpoint
from easyr1_fgrpo.miniature.tokenizer import CHAT_TEMPLATE, EOS, PAD, SPECIAL, VISION

CONTEXT = 16384


def save_judge(folder: Path) -> Path:
    """Write the checkpoint; the same every time."""
    model, tokenizer = build_judge()
    save_checkpoint(model, tokenizer, folder)
    return folder


def build_judge() -> tuple[Qwen2_5_VLForConditionalGeneration, PreTrainedTokenizerFast]:
    """The model in float32 and its tokenizer."""
    tokenizer = _bytes()
    config = build_config(tokenizer)
    config.text_config.max_position_embeddings = CONTEXT
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Qwen2_5_VLForConditionalGeneration(config).float(), tokenizer


def _bytes() -> PreTrainedTokenizerFast:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE({name: index for index, name in enumerate([*SPECIAL, *alphabet])}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=PAD,
        eos_token=EOS,
        additional_special_tokens=["<|im_start|>", *VISION],
        chat_template=CHAT_TEMPLATE,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )
