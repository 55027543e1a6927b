"""A plug-in of vLLM: linear layers on a CPU keep their weights as they are.

vLLM's CPU build packs each weight for its kernels at loading and drops the original, so that verl's weight sync would
write into nothing. On GPUs nothing is packed.
"""

from typing import Any


def register() -> None:
    """Called by vLLM in each of its processes."""
    from torch.nn.functional import linear
    from vllm.model_executor.layers import utils

    def keep_plain(layer: Any, remove_weight: bool) -> None:
        layer.cpu_linear = linear

    utils.dispatch_cpu_unquantized_gemm = keep_plain
