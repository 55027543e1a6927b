"""The constrained advantage (FGRPO Eq. 6): task and constraint signals, normalised apart, combined, whitened."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

import torch
from torch import Tensor

from .checks import Values, applicable_values, as_tensor, check_mask
from .groups import normalize_signals, zero_variance_fractions
from .sentences import JudgedSentences, sentence_advantage

MaskMode = Literal["exclude", "zero_fill"]
Whiten = Literal["token", "rollout", "none"]

TASK = "task"
NO_SENTENCES: Mapping[str, JudgedSentences] = MappingProxyType({})


@dataclass(frozen=True)
class ConstrainedAdvantage:
    """The advantage of a batch and where it comes from; the dicts hold "task" first, then every signal.

    Attributes:
        advantages: (B, T) float32, one value per rollout over its response tokens, with credit by sentence one per
            token; 0 elsewhere and on invalid rows.
        whole_B: (B,) float32, the advantage of a rollout as a whole: of its tokens outside of judged sentences, and of
            all of them when no signal is credited by sentence. 0 on invalid rows and without a response token.
        shares: mean |lambda_k z_k| over the sum of these means, in [0, 1] (the task's lambda is 1); None when every
            one of them is 0. Whitening hides these weights.
        zero_variance: share of groups in which a signal has no gradient, over the groups with `min_group_valid`
            applicable rollouts, or judged sentences (whatever the mask mode); None when there is no such group.
        normalized: (B,) float64, z_k before the multiplier; credited by sentence, its mean over the response tokens.
    """

    advantages: Tensor
    whole_B: Tensor
    shares: dict[str, float | None]
    zero_variance: dict[str, float | None]
    normalized: dict[str, Tensor]


def constrained_advantage(
    task_B: Values,
    signals: Mapping[str, Values],
    masks: Mapping[str, Values],
    multipliers: Mapping[str, float],
    groups_B: Values,
    response_mask_BT: Values | None = None,
    *,
    valid_B: Values | None = None,
    sentences: Mapping[str, JudgedSentences] = NO_SENTENCES,
    mask_mode: MaskMode = "exclude",
    whiten: Whiten = "token",
    min_group_valid: int = 2,
    min_std: float = 0.0,
    eps: float = 1e-6,
) -> ConstrainedAdvantage:
    """A = z(task) + sum_k lambda_k z(c_k), each normalised within its group, then whitened (FGRPO Eq. 6).

    Args:
        task_B: (B,) task rewards.
        signals: per constraint its (B,) scores; a row that is not applicable may hold anything.
        masks: per constraint a (B,) boolean mask, True where the score applies.
        multipliers: per constraint its lambda, at least 0, from before this step's dual step.
        groups_B: (B,) integers, the same for the rollouts of one prompt.
        response_mask_BT: (B, T), non-zero on response tokens; one token per rollout when None.
        valid_B: (B,) boolean, False for a row that is no rollout (failed, padding): it enters no statistic and its
            advantage is exactly 0. All rows are rollouts when None.
        sentences: the judged sentences of signals that are credited by sentence, see `sentence_advantage`; the scores
            of such a signal go to the other tokens. Only with mask_mode "exclude", and not whitened over rollouts.
        mask_mode: how a valid row without score enters its group. "exclude": not at all, and it gets 0.
            "zero_fill" (an ablation): as a member with score 0.0, which rewards applicability itself.
        whiten: statistics over "token" (every response token, as verl's `masked_whiten`), over "rollout" (each valid
            rollout once), or "none". Variance with n-1; all 0 stays all 0, and a single token or rollout becomes 0.
        min_group_valid: the fewest members a group is normalised with: applicable rollouts, or with "zero_fill"
            valid rollouts.
        min_std: floor of a group's standard deviation.
        eps: added to a group's standard deviation.

    Returns:
        The advantages and, per signal, what whitening hides.

    Raises:
        ValueError: when the keys of signals, masks and multipliers differ, for a wrong shape, dtype or option, or for
            an applicable score of a valid row that is NaN or infinite.
    """
    _check_options(mask_mode, whiten, sentences)
    _check_keys(signals, masks, multipliers, sentences)
    task_B = as_tensor(task_B)
    device = task_B.device
    scores = {TASK: task_B, **{name: as_tensor(scores_B, device) for name, scores_B in signals.items()}}
    applies = {name: as_tensor(mask_B, device) for name, mask_B in masks.items()}
    groups_B = as_tensor(groups_B, device)
    all_B = torch.ones(len(task_B), dtype=torch.bool, device=device)
    valid_B = all_B if valid_B is None else as_tensor(valid_B, device)
    response_mask_BT = all_B[:, None] if response_mask_BT is None else as_tensor(response_mask_BT, device)
    if response_mask_BT.ndim != 2 or len(response_mask_BT) != len(task_B):
        raise ValueError(
            f"response_mask_BT must have shape ({len(task_B)}, T), got shape {tuple(response_mask_BT.shape)}"
        )
    check_mask("valid_B", valid_B, len(task_B))

    for name, mask_B in applies.items():
        check_mask(f"the mask of {name}", mask_B, len(task_B))

    applicable = {TASK: valid_B, **{name: valid_B & applies[name] for name in signals}}
    weights = {TASK: 1.0, **multipliers}
    x_KB = torch.stack([applicable_values(name, scores[name], applicable[name]) for name in scores])
    applicable_KB = torch.stack([applicable[name] for name in scores])
    member_KB = valid_B.expand_as(applicable_KB) if mask_mode == "zero_fill" else applicable_KB
    z_KB = normalize_signals(x_KB, groups_B, member_KB, min_group_valid=min_group_valid, min_std=min_std, eps=eps)
    zero_variance_K = zero_variance_fractions(x_KB, groups_B, applicable_KB, min_group_valid=min_group_valid)
    normalized = dict(zip(scores, z_KB, strict=True))
    zero_variance = dict(zip(scores, zero_variance_K, strict=True))
    weighted_KB = z_KB * z_KB.new_tensor([weights[name] for name in scores])[:, None]
    sizes = dict(zip(scores, weighted_KB.abs(), strict=True))
    response_BT = response_mask_BT.bool()
    whole_B = weighted_KB.sum(0)
    advantage_BT = whole_B[:, None].expand(response_BT.shape)
    for name, judged in sentences.items():
        found = sentence_advantage(
            judged,
            groups_B,
            applicable[name],
            normalized[name],
            response_mask_BT,
            min_group_valid=min_group_valid,
            min_std=min_std,
            eps=eps,
        )
        advantage_BT = advantage_BT + weights[name] * (found.credit_BT - normalized[name][:, None])
        sizes[name] = _token_mean(weights[name] * found.credit_BT.abs(), response_BT)
        normalized[name] = _token_mean(found.credit_BT, response_BT)
        zero_variance[name] = found.zero_variance

    if whiten != "none":
        if sentences:
            scale = _whitening(advantage_BT, (response_BT & valid_B[:, None]).long())
        else:
            scale = _whitening(whole_B, response_BT.sum(1) * valid_B if whiten == "token" else valid_B.long())
        whole_B, advantage_BT = scale(whole_B), scale(advantage_BT)
    return ConstrainedAdvantage(
        advantages=torch.where(response_BT & valid_B[:, None], advantage_BT.float(), 0.0),
        whole_B=torch.where(response_BT.any(1) & valid_B, whole_B.float(), 0.0),
        shares=_shares(list(scores), torch.stack(list(sizes.values()))[:, valid_B]),
        zero_variance=zero_variance,
        normalized=normalized,
    )


def _whitening(values: Tensor, weight: Tensor) -> Callable[[Tensor], Tensor]:
    """The `masked_whiten` of verl in float64, by the statistics of values that stand `weight` times each."""
    # Rows without weight are dropped, not multiplied by 0: else padding would move the sums by a rounding.
    present = weight > 0
    x, times = values[present], weight[present]
    n = int(times.sum())
    if n < 2:
        return torch.zeros_like
    mean = (times * x).sum() / n
    variance = (times * (x - mean).square()).sum() / (n - 1)
    return lambda values: (values - mean) * torch.rsqrt(variance + 1e-8)


def _token_mean(values_BT: Tensor, response_BT: Tensor) -> Tensor:
    """Mean over each row's response tokens; 0 for a row without any. Values are 0 outside of the response."""
    return values_BT.sum(1) / response_BT.sum(1).clamp(min=1)


def _shares(names: list[str], size_KB: Tensor) -> dict[str, float | None]:
    # Sums in place of means: their denominator, the valid rollouts, cancels.
    total_K = size_KB.sum(1)
    total = float(total_K.sum())
    return {name: float(part) / total if total else None for name, part in zip(names, total_K, strict=True)}


def _check_options(mask_mode: str, whiten: str, by_sentence: Collection[str]) -> None:
    for option, value, allowed in (
        ("mask_mode", mask_mode, get_args(MaskMode)),
        ("whiten", whiten, get_args(Whiten)),
    ):
        if value not in allowed:
            raise ValueError(f"{option} must be one of {', '.join(allowed)}, got {value!r}")
    if by_sentence and (mask_mode != "exclude" or whiten == "rollout"):
        raise ValueError(
            "credit by sentence needs mask_mode='exclude' and whiten='token' or 'none', "
            f"got mask_mode={mask_mode!r} and whiten={whiten!r}"
        )


def _check_keys(
    signals: Collection[str], masks: Collection[str], multipliers: Mapping[str, float], by_sentence: Collection[str]
) -> None:
    if not set(signals) == set(masks) == set(multipliers):
        raise ValueError(
            "signals, masks and multipliers must have the same keys, "
            f"got {sorted(signals)}, {sorted(masks)} and {sorted(multipliers)}"
        )
    if unknown := set(by_sentence) - set(signals):
        raise ValueError(f"sentences are given for {sorted(unknown)}, which is no signal here")
    if TASK in signals:
        raise ValueError(f"no signal may be called {TASK!r}: it is the objective's name")
    for name, multiplier in multipliers.items():
        if not (math.isfinite(multiplier) and multiplier >= 0.0):
            raise ValueError(f"the multiplier of {name} must be finite and at least 0, got {multiplier}")
