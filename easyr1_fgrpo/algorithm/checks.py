"""What this room demands of its tensors; the errors name the tensor, the value and the fix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

Values = Tensor | Sequence[Any]
"""A tensor, or what a notebook has instead: a list or tuple of numbers, nested for a matrix, or an array."""


def as_tensor(values: Values, device: torch.device | None = None) -> Tensor:
    """A tensor as it is; a list or tuple as a tensor, its fractions in float64, None as NaN."""
    if not isinstance(values, list | tuple):
        return torch.as_tensor(values, device=device)
    numbers = [math.nan if value is None else value for value in values]
    tensor = torch.tensor(numbers, device=device)
    return torch.tensor(numbers, dtype=torch.float64, device=device) if tensor.is_floating_point() else tensor


def check_mask(name: str, mask_B: Tensor, size: int) -> None:
    """Raises a ValueError unless `mask_B` is a boolean tensor of shape (size,)."""
    if mask_B.dtype != torch.bool or mask_B.shape != (size,):
        raise ValueError(
            f"{name} must be a boolean tensor of shape ({size},), got {mask_B.dtype} of shape {tuple(mask_B.shape)}"
        )


def applicable_values(name: str, scores_B: Tensor, mask_B: Tensor) -> Tensor:
    """The applicable scores in float64, and 0 where nothing applies (whatever stood there, NaN and inf included).

    Args:
        name: what the scores are called in errors.
        scores_B: (B,) scores of any real dtype.
        mask_B: (B,) boolean, True where the score applies.

    Returns:
        (B,) float64.

    Raises:
        ValueError: when a shape or dtype is wrong, or an applicable score is NaN or infinite.
    """
    if scores_B.ndim != 1:
        raise ValueError(f"{name} must have one score per rollout, shape (B,), got shape {tuple(scores_B.shape)}")
    check_mask(f"the mask of {name}", mask_B, len(scores_B))
    bad_B = mask_B & ~torch.isfinite(scores_B)
    if bad_B.any():
        row = int(bad_B.nonzero()[0])
        raise ValueError(
            f"{name} is {scores_B[row].item()} in row {row}, where it applies; "
            "a missing measurement is no number: set its mask to False"
        )
    return torch.where(mask_B, scores_B.to(torch.float64), 0.0)
