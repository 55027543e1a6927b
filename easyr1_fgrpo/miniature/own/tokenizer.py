"""A tokenizer trained on a data set's own words, kept as an ordinary Hugging Face tokenizer.

Byte-pair encoding over bytes, so any language survives the round trip and no token is unknown. A system turn that all
rows share is one token, as are the tags: prompts stay short enough for two CPU cores.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from easyr1_fgrpo.miniature.tokenizer import CHAT_TEMPLATE, EOS, PAD, SPECIAL, VISION

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TAGS = ("<think>", "</think>", "<answer>", "</answer>", "<bbox>[", "]</bbox>")

VOCABULARY = 2048
"""Tokens at most, besides special ones, tags and the system turn."""

ROLES = ("system", "user", "assistant")


def train_tokenizer(texts: Iterable[str], system: str = "") -> PreTrainedTokenizerFast:
    """The tokenizer of a data set; the same texts give the same ids.

    Args:
        texts: questions, answers and traces.
        system: the system turn that all rows share; "" for none.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    whole = [*TAGS, *ROLES, *([system] if system else [])]
    backend.add_tokens([AddedToken(text, normalized=False, special=False) for text in whole])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=PAD,
        eos_token=EOS,
        additional_special_tokens=["<|im_start|>", *VISION],
        chat_template=CHAT_TEMPLATE,
        model_max_length=512,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
