"""What a notebook has at hand, lists, tuples and arrays, is taken like tensors."""

import inspect

import numpy as np
import pytest
import torch

from easyr1_fgrpo.algorithm import Constraint, DualAscent, batch_score, constrained_advantage, group_normalize
from easyr1_fgrpo.config.dual import DualSettings

TASK, GROUPS = [1.0, 0.5, 0.1, 1.0, 0.0], [7, 7, 7, 9, 9]
SCORES, MASK = [0.3, None, 0.7, 1, 0], [True, False, True, True, True]
RESPONSE = [[1, 1, 0]] * 5
AS_TENSORS = torch.tensor([0.3, float("nan"), 0.7, 1.0, 0.0], dtype=torch.float64), torch.tensor(MASK)


def test_an_advantage_of_lists_is_that_of_tensors():
    expected = constrained_advantage(
        torch.tensor(TASK, dtype=torch.float64), {"c": AS_TENSORS[0]}, {"c": AS_TENSORS[1]}, {"c": 2.0},
        torch.tensor(GROUPS), torch.tensor(RESPONSE), valid_B=torch.ones(5, dtype=torch.bool),
    ).advantages  # fmt: skip
    for kind in (list, tuple, np.array):
        scores = kind(SCORES) if kind is not np.array else np.array([0.3, np.nan, 0.7, 1, 0])
        given = constrained_advantage(
            kind(TASK), {"c": scores}, {"c": kind(MASK)}, {"c": 2.0}, kind(GROUPS), kind(RESPONSE)
        )
        assert torch.equal(given.advantages, expected), kind


def test_without_tokens_every_rollout_is_one():
    alone = constrained_advantage(TASK, {"c": SCORES}, {"c": MASK}, {"c": 2.0}, GROUPS)
    rollouts = constrained_advantage(TASK, {"c": SCORES}, {"c": MASK}, {"c": 2.0}, GROUPS, RESPONSE, whiten="rollout")
    assert alone.advantages.shape == (5, 1)
    assert torch.equal(alone.advantages[:, 0], alone.whole_B)
    assert alone.whole_B.tolist() == pytest.approx(rollouts.whole_B.tolist())


def test_a_none_that_should_apply_is_refused():
    with pytest.raises(ValueError, match="c is nan in row 1, where it applies"):
        constrained_advantage(TASK, {"c": SCORES}, {"c": [True] * 5}, {"c": 2.0}, GROUPS)


def test_groups_and_scores():
    assert group_normalize((1.0, 0.0), (4, 4)).tolist() == pytest.approx([0.5**0.5, -(0.5**0.5)], abs=1e-5)
    assert batch_score(SCORES, MASK) == batch_score(*AS_TENSORS) == (0.5, 4)


def test_thresholds_by_name_and_the_papers_numbers():
    ascent = DualAscent({"c": 0.95})
    assert ascent.multipliers == {"c": 1.0}
    record = ascent.step({"c": ([0.5] * 8, [True] * 8)})["c"]
    assert record.multiplier == pytest.approx(1.0 + 0.05 * 0.45)
    by_hand = DualAscent([Constraint("c", 0.95)], lr=0.05, max_multiplier=5.0, min_applicable=8)
    by_hand.step({"c": ([0.5] * 8, [True] * 8)})
    assert by_hand.state_dict() == ascent.state_dict()
    assert "needed" in ascent.step({"c": ([0.5] * 7, [True] * 7)})["c"].held
    defaults = {name: option.default for name, option in inspect.signature(DualAscent).parameters.items()}
    config = DualSettings()
    assert (defaults["lr"], defaults["max_multiplier"], defaults["min_applicable"]) == (
        config.lr,
        config.lambda_max,
        config.min_applicable,
    )
