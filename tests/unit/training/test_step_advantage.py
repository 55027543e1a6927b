import torch
from reported import numbers, scored

from easyr1_fgrpo.algorithm import constrained_advantage
from easyr1_fgrpo.training.sentence_tokens import SENTENCE_TOKENS

from .made_steps import begin, make

MULTIPLIERS = {"consistency": 0.5, "spatial_grounding": 1.25}
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


def fgrpo_with(multipliers=MULTIPLIERS, level="outcome", **advantage):
    constraints = {name: {"threshold": 0.9, "initial_multiplier": value} for name, value in multipliers.items()}
    return make(
        constraint_keys=list(multipliers),
        constraints=constraints,
        advantage=advantage,
        reward={"level": level},
        max_failed_share=0.5,
    )


def advantages_of(rows, mask_BT, **settings):
    fgrpo = fgrpo_with(**settings)
    return fgrpo.advantage(begin(fgrpo, rows), mask_BT).advantages


def by_the_algorithm(rows, mask_BT, **settings):
    step = begin(fgrpo_with(), rows)
    scores, masks = ({name: found[name] for name in MULTIPLIERS} for found in (step.scores, step.masks))
    return constrained_advantage(
        step.task_B, scores, masks, MULTIPLIERS, step.groups_B, mask_BT, valid_B=step.valid_B, **settings
    )


def test_equals_the_algorithm_on_plain_rows():
    for mask_mode in ["exclude", "zero_fill"]:
        for whiten in ["token", "rollout", "none"]:
            fgrpo = fgrpo_with(whiten=whiten, mask_mode=mask_mode)
            found = fgrpo.advantage(begin(fgrpo, ROWS), MASK_BT)
            expected = by_the_algorithm(ROWS, MASK_BT, whiten=whiten, mask_mode=mask_mode)
            assert torch.equal(found.advantages, expected.advantages), (mask_mode, whiten)
            assert found.advantages.any(), (mask_mode, whiten)
            assert found.shares == expected.shares, (mask_mode, whiten)


def test_settings_arrive():
    # p's accuracies differ by 0.5 at most: a floor of 100 on the deviation makes every z tiny
    loose, floored = (advantages_of(ROWS, MASK_BT, whiten="none", min_std=s) for s in (0.0, 100.0))
    assert floored.abs().max() < 0.1 < loose.abs().max()
    # q has two scored rollouts: too few for groups of three
    advantages = advantages_of(ROWS, MASK_BT, whiten="none", min_group_valid=3)
    assert not advantages[3:5].any()
    assert advantages[0].any()


def test_no_constraint_is_the_task_alone():
    # p has task 1, 1, .5: mean 5/6, deviation sqrt((2/36 + 4/36) / 2) = .288675; z = .57735, .57735, -1.1547
    advantages = advantages_of(ROWS, MASK_BT, multipliers={}, whiten="none")
    torch.testing.assert_close(advantages[:3, 0], torch.tensor([0.57735, 0.57735, -1.1547]), rtol=0, atol=1e-4)


def test_every_output_of_a_rollout_carries_the_last_ones_advantage():
    plain = {"p_0_0": ROWS["p_0_0"], "p_1_0": ROWS["p_1_0"], "p_2_0": ROWS["p_2_0"]}
    several = {
        "p_1_0": ROWS["p_1_0"],
        "p_0_1": ROWS["p_0_0"],  # the last output of session 0
        "p_0_0": numbers(scored(0.0), scored(0.0)),  # an earlier one: its numbers do not count
        "p_2_0": ROWS["p_2_0"],
    }
    mask_BT = torch.tensor([[1, 0, 0], [0, 1, 1], [1, 1, 1], [1, 1, 0]])  # the last output starts without a token
    plain_BT = mask_BT[[1, 0, 3]]
    alone = by_the_algorithm(plain, plain_BT).advantages
    expected = [row[tokens][0].item() for row, tokens in zip(alone, plain_BT.bool(), strict=True)]
    advantages = advantages_of(several, mask_BT)
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
    options = {"multipliers": {"semantic_grounding": 1.5}, "whiten": "none"}
    advantages = advantages_of(rows, torch.ones(4, 3, dtype=torch.long), level="sentence", **options)
    # task z .57735, .57735, -1.1547; verdicts 1, 0, 1, 1: z .5 and -1.5; scores .5, 1, .75: z -1, 1, 0
    expected = [[-0.92265] * 3, [1.32735, -1.67265, -0.92265], [1.32735, 1.32735, 2.07735], [-1.1547] * 3]
    torch.testing.assert_close(advantages, torch.tensor(expected), rtol=0, atol=1e-4)
    outcome = advantages_of(rows, torch.ones(4, 3, dtype=torch.long), level="outcome", **options)
    torch.testing.assert_close(outcome[:, 0], torch.tensor(expected)[:, 2], rtol=0, atol=1e-4)


def test_a_row_with_an_empty_response_mask_gets_nothing_and_breaks_nothing():
    mask_BT = MASK_BT.clone()
    mask_BT[1] = 0
    advantages = advantages_of(ROWS, mask_BT)
    assert torch.isfinite(advantages).all()
    assert not advantages[1].any()
    assert advantages[[0, 2]].any(1).all()
