"""flash-attn's functions in plain torch, for the code around them: who calls them, with which sequences and positions.

`install` makes this process believe that flash-attn is there, on CUDA; it goes before verl patches a model.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from itertools import pairwise
from types import ModuleType
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.nn import functional as F

read: list[list[int]] = []
"""The lengths of the sequences of every call."""


def flash_attn_varlen_func(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cu_seqlens_q: Tensor,
    cu_seqlens_k: Tensor,
    max_seqlen_q: Any,
    max_seqlen_k: Any,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: tuple[int, int] = (-1, -1),
    softcap: float = 0.0,
    deterministic: bool = False,
) -> Tensor:
    """(tokens, heads, head size) of sequences that follow each other and do not see each other."""
    assert (dropout_p, window_size, softcap) == (0.0, (-1, -1), 0.0)
    bounds = cu_seqlens_q.tolist()
    assert bounds == cu_seqlens_k.tolist()
    assert bounds[0] == 0
    assert bounds[-1] == len(q)
    lengths = [end - start for start, end in pairwise(bounds)]
    assert int(max_seqlen_q) == int(max_seqlen_k) == max(lengths)
    read.append(lengths)
    pieces = (q.split(lengths), k.split(lengths), v.split(lengths))
    return torch.cat([_attend(*piece, softmax_scale, causal) for piece in zip(*pieces, strict=True)])


def flash_attn_func(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: tuple[int, int] = (-1, -1),
    softcap: float = 0.0,
    deterministic: bool = False,
) -> Tensor:
    """(rows, tokens, heads, head size) of rows without padding."""
    assert (dropout_p, window_size, softcap) == (0.0, (-1, -1), 0.0)
    read.extend([row.shape[0]] for row in q)
    return torch.stack([_attend(*row, softmax_scale, causal) for row in zip(q, k, v, strict=True)])


def _attend(q: Tensor, k: Tensor, v: Tensor, scale: float | None, causal: bool) -> Tensor:
    heads_first = (part.transpose(0, 1)[None] for part in (q, k, v))
    seen = F.scaled_dot_product_attention(*heads_first, is_causal=causal, scale=scale, enable_gqa=True)
    return seen[0].transpose(0, 1)


def install() -> None:
    """Put it in flash-attn's place for transformers and for verl's patches of its models."""
    from transformers import modeling_flash_attention_utils as attention
    from transformers.utils import import_utils

    package, padding = ModuleType("flash_attn"), ModuleType("flash_attn.bert_padding")
    package.__version__ = "2.8.3"
    package.__spec__ = ModuleSpec("flash_attn", None)
    package.flash_attn_func = flash_attn_func
    package.flash_attn_varlen_func = flash_attn_varlen_func
    package.flash_attn_with_kvcache = None
    padding.pad_input, padding.unpad_input = attention._pad_input, attention._unpad_input
    sys.modules |= {"flash_attn": package, "flash_attn.bert_padding": padding}
    import_utils.PACKAGE_DISTRIBUTION_MAPPING["flash_attn"] = ["flash-attn"]
    # Transformers asks once for both and remembers.
    for asked in (import_utils.is_torch_cuda_available, import_utils.is_flash_attn_2_available):
        asked.cache_clear()
        with mock.patch("torch.cuda.is_available", return_value=True):
            assert asked()
    from verl.models.transformers import qwen2_vl

    # It rounds float32 to bfloat16, which is all the real kernels take; here the test wants to tell small differences.
    qwen2_vl.fa_peft_integration_check = lambda q, k, v, target_dtype=None: (q, k, v)
