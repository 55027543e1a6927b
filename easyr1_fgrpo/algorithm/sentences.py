"""Credit by sentence: a judged sentence's verdict goes to its own tokens instead of the whole response.

At the outcome level every token of rollout i gets z(R_S)_i, R_S the mean of the rollout's verdicts. Here the tokens of
sentence s get z_s = (v_s - m) / d, with m and d the mean and deviation (n-1) of the verdicts v (1 or 0) of all judged
sentences of the group, whichever rollout they are in; tokens outside of judged sentences keep the outcome level's.

Why over the sentences of the whole group: within a rollout the mean over its judged sentences is then
(R_S,i - m) / d, the outcome level's numerator with the group mean weighted by sentences, so rollouts still compare
with each other; and the sum over a group's judged sentences is 0, so none is pushed for having many. Normalised within
the rollout instead, a rollout that is wrong throughout would get nothing.

Why tokens outside are credited: one of them is the answer. Grounding applies to right answers only, so z(R_S) on the
answer's tokens says "not this answer after that trace": among right answers it is those that contradict their trace
whose conclusion is false. With nothing there, answers learnt to be right past their traces (docs/open_choices.md).

Limits. d is the deviation of single verdicts, larger than that of rollout means (by the root of the sentences per
rollout if verdicts are independent), so at the same multiplier the signal weighs less than at the outcome level;
`shares` shows by how much. A sentence is not credited with what later sentences make of it. Long sentences weigh more,
as long responses do, since the loss is a mean over tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .groups import group_normalize, zero_variance_fraction


@dataclass(frozen=True)
class JudgedSentences:
    """The judged sentences of a batch, S of them in any order; no two share a token.

    Attributes:
        values_S: (S,) floating, the verdicts: 1 correct, 0 incorrect.
        rows_S: (S,) integers, the rollout of each.
        starts_S: (S,) integers, first token, counted from the response's first.
        ends_S: (S,) integers, one past the last token.
    """

    values_S: Tensor
    rows_S: Tensor
    starts_S: Tensor
    ends_S: Tensor


@dataclass(frozen=True)
class SentenceAdvantage:
    """What sentences are credited with.

    Attributes:
        credit_BT: (B, T) float64, z of the sentence that a response token is in, outside of sentences that of the
            whole response; 0 where there is no response.
        zero_variance: share of groups whose judged sentences are all alike; None without a counted group.
    """

    credit_BT: Tensor
    zero_variance: float | None


def sentence_advantage(
    sentences: JudgedSentences,
    groups_B: Tensor,
    mask_B: Tensor,
    whole_B: Tensor,
    response_mask_BT: Tensor,
    *,
    min_group_valid: int = 2,
    min_std: float = 0.0,
    eps: float = 1e-6,
) -> SentenceAdvantage:
    """Normalise verdicts over the judged sentences of each group and credit each sentence's own tokens.

    Args:
        sentences: the verdicts and where they are.
        groups_B: (B,) integers, the same for the rollouts of one prompt.
        mask_B: (B,) boolean, the rollouts the signal applies to; sentences of others enter nothing.
        whole_B: (B,) float64, the signal's z at the outcome level, for tokens outside of judged sentences.
        response_mask_BT: (B, T), non-zero on response tokens.
        min_group_valid: the fewest judged sentences a group is normalised with, at least 2.
        min_std: floor of the deviation of a group's verdicts.
        eps: added to that deviation, above 0.

    Returns:
        The credit of every token and the share of groups whose sentences tell nothing apart.

    Raises:
        ValueError: for sentences that lie outside of the batch or share a token, or as `group_normalize`.
    """
    values_S, rows_S = sentences.values_S, sentences.rows_S
    owner_BT = _owners(sentences, response_mask_BT.shape)
    of_sentence = groups_B[rows_S], mask_B[rows_S]
    z_S = group_normalize(values_S, *of_sentence, min_group_valid=min_group_valid, min_std=min_std, eps=eps)
    own_BT = torch.cat([z_S.new_zeros(1), z_S])[owner_BT]
    credit_BT = torch.where(owner_BT > 0, own_BT, whole_B[:, None])
    return SentenceAdvantage(
        credit_BT=torch.where(response_mask_BT.bool(), credit_BT, 0.0),
        zero_variance=zero_variance_fraction(values_S, *of_sentence, min_group_valid=min_group_valid),
    )


def _owners(sentences: JudgedSentences, shape: torch.Size) -> Tensor:
    """(B, T) the number of the sentence each token is in, counted from 1; 0 outside."""
    rows_S, starts_S, ends_S = sentences.rows_S, sentences.starts_S, sentences.ends_S
    size, length = shape
    inside_S = (rows_S >= 0) & (rows_S < size) & (starts_S >= 0) & (starts_S < ends_S) & (ends_S <= length)
    if not inside_S.all():
        bad = int((~inside_S).nonzero()[0])
        raise ValueError(
            f"sentence {bad} is tokens {int(starts_S[bad])} to {int(ends_S[bad])} of row {int(rows_S[bad])}, "
            f"outside of {size} rows of {length} tokens"
        )
    # Integers, so that what is added at a start is taken away exactly at the end.
    number_S = torch.arange(1, len(rows_S) + 1, device=rows_S.device)
    owner = torch.zeros(size, length + 1, dtype=torch.long, device=rows_S.device)
    depth = torch.zeros_like(owner)
    for edge_S, sign in ((starts_S, 1), (ends_S, -1)):
        owner.index_put_((rows_S, edge_S), sign * number_S, accumulate=True)
        depth.index_put_((rows_S, edge_S), torch.full_like(number_S, sign), accumulate=True)
    if (depth.cumsum(1) > 1).any():
        row = int((depth.cumsum(1) > 1).any(1).nonzero()[0])
        raise ValueError(f"two judged sentences of row {row} share a token; give it to one of them")
    return owner.cumsum(1)[:, :-1]
