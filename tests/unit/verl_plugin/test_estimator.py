from dataclasses import replace

import numpy as np
import pytest
import torch
from reported import NAMES, numbers, scored
from verl import DataProto
from verl.trainer.ppo.core_algos import get_adv_estimator_fn
from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories

from easyr1_fgrpo.algorithm import constrained_advantage
from easyr1_fgrpo.config.schema import AdvantageSettings
from easyr1_fgrpo.training.sentence_tokens import SENTENCE_TOKENS
from easyr1_fgrpo.training.step_signals import read_step
from easyr1_fgrpo.verl_plugin.estimator import Handover, compute_constrained_advantage, handed_over
from easyr1_fgrpo.verl_plugin.names import ESTIMATOR

MULTIPLIERS = {"consistency": 0.5, "spatial_grounding": 2.0}
ROWS = {
    "p_0_0": numbers(scored(1.0), scored(1.0), scored(0.5)),
    "p_1_0": numbers(scored(1.0), scored(0.0), scored(0.75)),
    "p_2_0": numbers(scored(0.5), None, scored(0.25)),
    "q_0_0": numbers(scored(1.0), scored(1.0)),
    "q_1_0": numbers(scored(0.0)),
    "q_2_0": None,
    "padx_0_0": None,
}
MASK_BT = torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 1, 0], [1, 1, 0], [1, 0, 0]])


def handover_of(rows, multipliers=MULTIPLIERS, **settings):
    step = read_step(list(rows), [key.startswith("pad") for key in rows], list(rows.values()), NAMES)
    return Handover(step, dict(multipliers), AdvantageSettings(**settings))


def advantages_of(handover, mask_BT):
    with handed_over(handover):
        advantages, returns = compute_constrained_advantage(torch.zeros(mask_BT.shape), mask_BT)
    assert torch.equal(advantages, returns)
    return advantages


def by_the_algorithm(step, mask_BT, **settings):
    return constrained_advantage(
        step.task_B, step.scores, step.masks, MULTIPLIERS, step.groups_B, mask_BT, valid_B=step.valid_B, **settings
    )


def test_registered_under_its_name():
    assert get_adv_estimator_fn(ESTIMATOR) is compute_constrained_advantage


@pytest.mark.parametrize("mask_mode", ["exclude", "zero_fill"])
@pytest.mark.parametrize("whiten", ["token", "rollout", "none"])
def test_equals_the_algorithm_on_plain_rows(whiten, mask_mode):
    handover = handover_of(ROWS, whiten=whiten, mask_mode=mask_mode)
    expected = by_the_algorithm(handover.step, MASK_BT, whiten=whiten, mask_mode=mask_mode)
    advantages = advantages_of(handover, MASK_BT)
    assert torch.equal(advantages, expected.advantages)
    assert advantages.any()
    assert handover.result.shares == expected.shares


def test_settings_arrive():
    # p's accuracies differ by 0.5 at most: a floor of 100 on the deviation makes every z tiny
    loose, floored = (advantages_of(handover_of(ROWS, whiten="none", min_std=s), MASK_BT) for s in (0.0, 100.0))
    assert floored.abs().max() < 0.1 < loose.abs().max()
    # q has two scored rollouts: too few for groups of three
    advantages = advantages_of(handover_of(ROWS, whiten="none", min_group_valid=3), MASK_BT)
    assert not advantages[3:5].any()
    assert advantages[0].any()


def test_no_constraint_is_the_task_alone():
    # p has task 1, 1, .5: mean 5/6, deviation sqrt((2/36 + 4/36) / 2) = .288675; z = .57735, .57735, -1.1547
    advantages = advantages_of(handover_of(ROWS, {}, whiten="none"), MASK_BT)
    torch.testing.assert_close(advantages[:3, 0], torch.tensor([0.57735, 0.57735, -1.1547]), rtol=0, atol=1e-4)


def test_every_output_of_a_session_carries_the_last_ones_advantage():
    plain = {"p_0_0": ROWS["p_0_0"], "p_1_0": ROWS["p_1_0"], "p_2_0": ROWS["p_2_0"]}
    several = {
        "p_1_0": ROWS["p_1_0"],
        "p_0_1": ROWS["p_0_0"],  # the last output of session 0
        "p_0_0": numbers(scored(0.0), scored(0.0)),  # an earlier one: its numbers do not count
        "p_2_0": ROWS["p_2_0"],
    }
    mask_BT = torch.tensor([[1, 0, 0], [0, 1, 1], [1, 1, 1], [1, 1, 0]])  # the last output starts without a token
    plain_BT = mask_BT[[1, 0, 3]]
    alone = by_the_algorithm(handover_of(plain).step, plain_BT).advantages
    expected = [row[tokens][0].item() for row, tokens in zip(alone, plain_BT.bool(), strict=True)]
    advantages = advantages_of(handover_of(several), mask_BT)
    assert advantages[1].tolist() == [0.0, expected[0], expected[0]]
    assert advantages[2].tolist() == [expected[0]] * 3
    assert advantages[0].tolist() == [expected[1], 0.0, 0.0]
    assert advantages[3].tolist() == [expected[2], expected[2], 0.0]


def test_at_the_sentence_level_a_sentences_tokens_carry_its_own_verdict():
    # two judged sentences in each of p's first two rollouts; session 0 has an earlier output, which was not judged
    rows = {
        "p_0_0": numbers(scored(1.0)),
        "p_0_1": numbers(scored(1.0), **{SENTENCE_TOKENS: [(0, 1, 1.0), (1, 2, 0.0)]}),
        "p_1_0": numbers(scored(1.0), **{SENTENCE_TOKENS: [(0, 1, 1.0), (1, 2, 1.0)]}),
        "p_2_0": numbers(scored(0.5)),
    }
    for row, score in zip(rows.values(), (0.5, 0.5, 1.0, 0.75), strict=True):
        row |= {"semantic_grounding": score, "semantic_grounding_valid": 1.0, "semantic_grounding_reason": 0.0}
    step = read_step(list(rows), [False] * 4, list(rows.values()), ("semantic_grounding",))
    handover = Handover(step, {"semantic_grounding": 2.0}, AdvantageSettings(whiten="none"), level="sentence")
    advantages = advantages_of(handover, torch.ones(4, 3, dtype=torch.long))
    # task z .57735, .57735, -1.1547; verdicts 1, 0, 1, 1: z .5 and -1.5; scores .5, 1, .75: z -1, 1, 0
    expected = [[-1.42265] * 3, [1.57735, -2.42265, -1.42265], [1.57735, 1.57735, 2.57735], [-1.1547] * 3]
    torch.testing.assert_close(advantages, torch.tensor(expected), rtol=0, atol=1e-4)
    outcome = advantages_of(replace(handover, level="outcome"), torch.ones(4, 3, dtype=torch.long))
    torch.testing.assert_close(outcome[:, 0], torch.tensor(expected)[:, 2], rtol=0, atol=1e-4)


def test_a_row_with_an_empty_response_mask_gets_nothing_and_breaks_nothing():
    mask_BT = MASK_BT.clone()
    mask_BT[1] = 0
    advantages = advantages_of(handover_of(ROWS), mask_BT)
    assert torch.isfinite(advantages).all()
    assert not advantages[1].any()
    assert advantages[[0, 2]].any(1).all()


def test_refused_without_a_trainer_that_hands_over():
    with pytest.raises(RuntimeError, match=r"trainer\.v1\.trainer_mode=fgrpo"):
        compute_constrained_advantage(torch.zeros(1, 1), torch.ones(1, 1))


def test_the_handover_ends_with_its_context_even_on_an_error():
    with pytest.raises(KeyError), handed_over(handover_of(ROWS)):
        raise KeyError
    with pytest.raises(RuntimeError, match="hands it the signals"):
        compute_constrained_advantage(torch.zeros(1, 1), torch.ones(1, 1))


def test_verl_calls_it():
    handover = handover_of(ROWS)
    data = DataProto.from_dict(
        tensors={"token_level_rewards": torch.zeros(MASK_BT.shape), "response_mask": MASK_BT},
        non_tensors={"uid": np.array([key.rsplit("_", 2)[0] for key in ROWS], dtype=object)},
    )
    with handed_over(handover):
        data = compute_advantage_for_multi_trajectories(data, batch_keys=list(ROWS), adv_estimator=ESTIMATOR)
    assert torch.equal(data.batch["advantages"], advantages_of(handover, MASK_BT))
