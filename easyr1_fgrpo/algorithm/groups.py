"""Masked normalisation within groups: the z_g of FGRPO Eq. 6, without a loop over rollouts or groups."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .checks import Values, applicable_values, as_tensor


def group_normalize(
    scores_B: Values,
    groups_B: Values,
    mask_B: Values | None = None,
    *,
    min_group_valid: int = 2,
    min_std: float = 0.0,
    eps: float = 1e-6,
) -> Tensor:
    """Normalise scores within each group, over the applicable members only (FGRPO Eq. 6).

    z = (x - mean) / (max(std, min_std) + eps), std with n-1. Exactly 0 for a row that is not applicable, for a group
    whose applicable scores are equal and for one with fewer than `min_group_valid` applicable members.

    Args:
        scores_B: (B,) scores; a row that is not applicable may hold anything.
        groups_B: (B,) integers, the same for the rollouts of one prompt; any values, in any order.
        mask_B: (B,) boolean, True where the score applies; all rows when None.
        min_group_valid: the fewest applicable members a group is normalised with, at least 2.
        min_std: floor of the standard deviation, so that a group of nearly equal scores is not blown up.
        eps: added to the standard deviation, above 0.

    Returns:
        (B,) float64: advantages are cast down once, after signals are combined and whitened.

    Raises:
        ValueError: for a wrong shape, dtype or option, or an applicable score that is NaN or infinite.
    """
    x_B, groups_B, mask_B = _as_tensors(scores_B, groups_B, mask_B)
    return normalize_signals(
        x_B[None], groups_B, mask_B[None], min_group_valid=min_group_valid, min_std=min_std, eps=eps
    )[0]


def zero_variance_fraction(
    scores_B: Values, groups_B: Values, mask_B: Values | None = None, *, min_group_valid: int = 2
) -> float | None:
    """The share of groups whose applicable scores are all equal: there the signal has no gradient.

    Args:
        scores_B: (B,) scores; a row that is not applicable may hold anything.
        groups_B: (B,) integers, the same for the rollouts of one prompt.
        mask_B: (B,) boolean, True where the score applies; all rows when None.
        min_group_valid: only groups with at least this many applicable members are counted.

    Returns:
        A fraction in [0, 1], or None when no group is counted.

    Raises:
        ValueError: as `group_normalize`.
    """
    x_B, groups_B, mask_B = _as_tensors(scores_B, groups_B, mask_B)
    return zero_variance_fractions(x_B[None], groups_B, mask_B[None], min_group_valid=min_group_valid)[0]


def normalize_signals(
    x_KB: Tensor, groups_B: Tensor, mask_KB: Tensor, *, min_group_valid: int, min_std: float, eps: float
) -> Tensor:
    """`group_normalize` of K signals at once; `x_KB` is float64 and finite everywhere."""
    if not (min_std >= 0.0 and eps > 0.0):
        raise ValueError(f"min_std must be at least 0 and eps above 0, got min_std={min_std} and eps={eps}")
    groups = _summarize(x_KB, groups_B, mask_KB, min_group_valid)
    index, x, mask = groups.index, x_KB.flatten(), mask_KB.flatten()

    mean = torch.bincount(index, weights=torch.where(mask, x, 0.0)) / groups.count
    centred = torch.where(mask, x - mean[index], 0.0)
    std = (torch.bincount(index, weights=centred.square()) / (groups.count - 1)).sqrt()
    z = centred / (std.clamp(min=min_std) + eps)[index]
    # The mean of equal scores is off by a rounding, so a constant group is recognised by its range and not by its std.
    live = groups.counted & ~groups.constant
    return torch.where(mask & live[index], z, 0.0).view_as(x_KB)


def zero_variance_fractions(
    x_KB: Tensor, groups_B: Tensor, mask_KB: Tensor, *, min_group_valid: int
) -> list[float | None]:
    """`zero_variance_fraction` of K signals at once; `x_KB` is float64 and finite everywhere."""
    groups = _summarize(x_KB, groups_B, mask_KB, min_group_valid)
    signals = len(x_KB)
    counted_K = groups.counted.view(signals, -1).sum(1).tolist()
    constant_K = (groups.counted & groups.constant).view(signals, -1).sum(1).tolist()
    return [constant / counted if counted else None for constant, counted in zip(constant_K, counted_K, strict=True)]


@dataclass(frozen=True)
class _Groups:
    """Groups of K signals as K * G bins.

    Attributes:
        index: (K * B,) the bin of each score.
        count: (K * G,) applicable members.
        counted: (K * G,) whether they are enough.
        constant: (K * G,) whether they are all equal.
    """

    index: Tensor
    count: Tensor
    counted: Tensor
    constant: Tensor


def _summarize(x_KB: Tensor, groups_B: Tensor, mask_KB: Tensor, min_group_valid: int) -> _Groups:
    if min_group_valid < 2:
        raise ValueError(f"min_group_valid must be at least 2 (one score has no spread), got {min_group_valid}")
    if groups_B.shape != x_KB.shape[1:] or groups_B.is_floating_point() or groups_B.dtype == torch.bool:
        raise ValueError(
            f"groups_B must be an integer tensor of shape {tuple(x_KB.shape[1:])}, "
            f"got {groups_B.dtype} of shape {tuple(groups_B.shape)}"
        )
    ids_G, index_B = groups_B.unique(return_inverse=True)
    first_bin_K = len(ids_G) * torch.arange(len(x_KB), device=x_KB.device)
    index = (first_bin_K[:, None] + index_B).flatten()
    count = torch.bincount(index, weights=mask_KB.flatten().to(x_KB.dtype))
    unset = x_KB.new_zeros(len(count))
    highest = unset.scatter_reduce(0, index, x_KB.where(mask_KB, -torch.inf).flatten(), "amax", include_self=False)
    lowest = unset.scatter_reduce(0, index, x_KB.where(mask_KB, torch.inf).flatten(), "amin", include_self=False)
    return _Groups(index, count, count >= min_group_valid, highest == lowest)


def _as_tensors(scores_B: Values, groups_B: Values, mask_B: Values | None) -> tuple[Tensor, Tensor, Tensor]:
    """Applicable scores, groups and mask; without a mask every row applies."""
    scores_B = as_tensor(scores_B)
    mask_B = torch.ones_like(scores_B, dtype=torch.bool) if mask_B is None else as_tensor(mask_B, scores_B.device)
    return applicable_values("scores_B", scores_B, mask_B), as_tensor(groups_B, scores_B.device), mask_B
