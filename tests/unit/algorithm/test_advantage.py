import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from verl.utils.torch_functional import masked_whiten

from easyr1_fgrpo.algorithm import constrained_advantage, group_normalize

from .slow_loops import slow_advantage, slow_zero_variance

NAN = float("nan")
NAMES = ("consistency", "spatial_grounding")


def tensors(batch):
    size = len(batch["task"])
    return {
        "task_B": torch.tensor(batch["task"], dtype=torch.float64),
        "signals": {name: torch.tensor(values, dtype=torch.float64) for name, values in batch["signals"].items()},
        "masks": {name: torch.tensor(values, dtype=torch.bool) for name, values in batch["masks"].items()},
        "groups_B": torch.tensor(batch["groups"], dtype=torch.long),
        "response_mask_BT": torch.tensor(batch["tokens"], dtype=torch.long).reshape(size, -1 if size else 3),
        "valid_B": torch.tensor(batch["valid"], dtype=torch.bool),
    }


@st.composite
def batches(draw):
    size = draw(st.integers(0, 20))
    rows = lambda elements: draw(st.lists(elements, min_size=size, max_size=size))  # noqa: E731
    scores = st.sampled_from([0.0, 0.1, 0.5, 1.0]) | st.floats(0, 1)
    return {
        "task": rows(st.sampled_from([0.0, 0.5, 1.0])),
        "signals": {name: rows(scores) for name in NAMES},
        "masks": {name: rows(st.booleans()) for name in NAMES},
        "groups": rows(st.sampled_from([-3, 5, 800])),
        "tokens": rows(st.lists(st.integers(0, 1), min_size=3, max_size=3)),
        "valid": rows(st.sampled_from([True, True, True, False])),
    }


MULTIPLIERS = st.fixed_dictionaries({name: st.sampled_from([0.0, 1.0, 2.7, 5.0]) for name in NAMES})
MASK_MODES, WHITENS = ("exclude", "zero_fill"), ("token", "rollout", "none")


@given(batches(), MULTIPLIERS, st.sampled_from(MASK_MODES), st.sampled_from(WHITENS))
def test_equals_the_slow_loop(batch, multipliers, mask_mode, whiten):
    result = constrained_advantage(**tensors(batch), multipliers=multipliers, mask_mode=mask_mode, whiten=whiten)
    expected = slow_advantage(batch, multipliers, mask_mode, whiten)
    assert result.advantages.dtype == torch.float32
    assert result.advantages.tolist() == [pytest.approx(row, rel=1e-5, abs=1e-5) for row in expected]
    outside = ~(tensors(batch)["response_mask_BT"].bool() & tensors(batch)["valid_B"][:, None])
    assert (result.advantages[outside] == 0.0).all()
    for name in NAMES:
        applicable = [m and v for m, v in zip(batch["masks"][name], batch["valid"], strict=True)]
        scores = batch["signals"][name]
        assert result.zero_variance[name] == slow_zero_variance(scores, batch["groups"], applicable, 2)
    assert result.zero_variance["task"] == slow_zero_variance(batch["task"], batch["groups"], batch["valid"], 2)


@given(batches(), MULTIPLIERS, st.sampled_from(MASK_MODES), st.sampled_from(WHITENS), st.randoms(use_true_random=False))
def test_the_order_of_rollouts_does_not_matter(batch, multipliers, mask_mode, whiten, random):
    options = {"multipliers": multipliers, "mask_mode": mask_mode, "whiten": whiten}
    order = list(range(len(batch["task"])))
    random.shuffle(order)
    arguments = tensors(batch)
    shuffled = {
        key: {name: value[order] for name, value in x.items()} if isinstance(x, dict) else x[order]
        for key, x in arguments.items()
    }
    straight = constrained_advantage(**arguments, **options).advantages[order]
    torch.testing.assert_close(constrained_advantage(**shuffled, **options).advantages, straight, rtol=1e-6, atol=1e-6)


@given(batches(), MULTIPLIERS, st.sampled_from(MASK_MODES), st.sampled_from(WHITENS), st.sampled_from([NAN, 1.0, -9e9]))
def test_rows_that_are_no_rollout_change_nothing(batch, multipliers, mask_mode, whiten, junk):
    options = {"multipliers": multipliers, "mask_mode": mask_mode, "whiten": whiten}
    alone = constrained_advantage(**tensors(batch), **options)
    padded = {
        "task": batch["task"] + [junk] * 3,
        "signals": {name: values + [junk] * 3 for name, values in batch["signals"].items()},
        "masks": {name: values + [True] * 3 for name, values in batch["masks"].items()},
        "groups": batch["groups"] + [5, 5, 77],
        "tokens": batch["tokens"] + [[1, 1, 1]] * 3,
        "valid": batch["valid"] + [False] * 3,
    }
    result = constrained_advantage(**tensors(padded), **options)
    size = len(batch["task"])
    assert torch.equal(result.advantages[:size], alone.advantages)
    assert (result.advantages[size:] == 0.0).all()
    assert (result.shares, result.zero_variance) == (alone.shares, alone.zero_variance)


def example(**options):
    # method: acc = [1,1,1,0,0]; R_C = [1,1,0,-,-], consistency applies to correct rollouts
    return constrained_advantage(
        torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0]),
        {"consistency": torch.tensor([1.0, 1.0, 0.0, NAN, NAN])},
        {"consistency": torch.tensor([True, True, True, False, False])},
        {"consistency": 2.0},
        torch.zeros(5, dtype=torch.long),
        torch.ones(5, 2, dtype=torch.long),
        **options,
    )


# z(task): mean .6; (3 * .16 + 2 * .36) / 4 = .3; std .54772; z = .73030 thrice and -1.09545 twice
Z_TASK = [0.73030, 0.73030, 0.73030, -1.09545, -1.09545]


def test_golden_mask_modes():
    for mask_mode, z_consistency in [
        # over [1, 1, 0]: mean 2/3, std sqrt((1/9 + 1/9 + 4/9) / 2) = .57735
        ("exclude", [0.57735, 0.57735, -1.15470, 0.0, 0.0]),
        # over [1, 1, 0, 0, 0]: mean .4, std sqrt((2 * .36 + 3 * .16) / 4) = .54772: wrong rollouts lose by .73 more
        ("zero_fill", [1.09545, 1.09545, -0.73030, -0.73030, -0.73030]),
    ]:
        result = example(mask_mode=mask_mode, whiten="none")
        assert result.normalized["consistency"].tolist() == pytest.approx(z_consistency, abs=1e-4), mask_mode
        assert result.normalized["task"].tolist() == pytest.approx(Z_TASK, abs=1e-4), mask_mode
        combined = [task + 2.0 * z for task, z in zip(Z_TASK, z_consistency, strict=True)]
        assert result.advantages.tolist() == [pytest.approx([a, a], abs=1e-4) for a in combined], mask_mode


def test_golden_shares():
    # |task| sums to 3 * .73030 + 2 * 1.09545 = 4.38180; |2 z_C| to 2 * (.57735 + .57735 + 1.15470) = 4.61880
    # 4.38180 / 9.00060 = .48683
    shares = example().shares
    assert shares["task"] == pytest.approx(0.48683, abs=1e-4)
    assert shares["consistency"] == pytest.approx(1 - 0.48683, abs=1e-4)
    assert list(shares) == ["task", "consistency"]


def test_golden_token_whitening_weighs_by_length():
    # z(task) of [1, 0] is (+-.5) / .70711 = +-.70711; three tokens of + and one of -: mean .70711 * .5 = .35355,
    # variance (3 * .35355^2 + 1.06066^2) / 3 = .5, so .35355 / .70711 = .5 and -1.06066 / .70711 = -1.5
    groups, mask = torch.tensor([4, 4]), torch.tensor([[1, 1, 1], [1, 0, 0]])
    result = constrained_advantage(torch.tensor([1.0, 0.0]), {}, {}, {}, groups, mask)
    assert result.advantages.tolist() == [pytest.approx([0.5] * 3, abs=1e-4), pytest.approx([-1.5, 0, 0], abs=1e-4)]


def test_golden_rollout_whitening():
    # the same rollouts counted once each: mean 0, variance (.5 + .5) / 1 = 1
    groups, mask = torch.tensor([4, 4]), torch.tensor([[1, 1, 1], [1, 0, 0]])
    result = constrained_advantage(torch.tensor([1.0, 0.0]), {}, {}, {}, groups, mask, whiten="rollout")
    assert result.advantages.tolist() == [
        pytest.approx([0.70711] * 3, abs=1e-4),
        pytest.approx([-0.70711, 0, 0], abs=1e-4),
    ]


def test_token_whitening_equals_verl():
    generator = torch.Generator().manual_seed(0)
    task_B = torch.randint(0, 3, (60,), generator=generator) / 2
    score_B = torch.rand(60, generator=generator)
    groups_B = torch.arange(60) // 5
    response_mask_BT = (torch.arange(32) < torch.randint(1, 33, (60, 1), generator=generator)).long()
    valid_B = torch.rand(60, generator=generator) > 0.1
    everything = torch.ones(60, dtype=torch.bool)
    result = constrained_advantage(
        task_B, {"c": score_B}, {"c": everything}, {"c": 1.5}, groups_B, response_mask_BT, valid_B=valid_B
    )
    combined_B = group_normalize(task_B, groups_B, valid_B) + 1.5 * group_normalize(score_B, groups_B, valid_B)
    mask_BT = response_mask_BT * valid_B[:, None]
    by_verl = masked_whiten(combined_B[:, None].expand(-1, 32).float(), mask_BT) * mask_BT
    torch.testing.assert_close(result.advantages, by_verl, rtol=1e-5, atol=1e-5)


def one_group(task, tokens, valid, **options):
    return constrained_advantage(
        torch.tensor(task),
        {},
        {},
        {},
        torch.zeros(len(task), dtype=torch.long),
        torch.tensor(tokens),
        valid_B=torch.tensor(valid),
        **options,
    )


@pytest.mark.parametrize("whiten", WHITENS)
@pytest.mark.parametrize(
    ("task", "tokens", "valid"),
    [
        pytest.param([1.0, 0.0], [[1, 1], [1, 1]], [True, False], id="one valid row"),
        pytest.param([NAN, NAN], [[1, 1], [1, 1]], [False, False], id="no valid row"),
        pytest.param([1.0, 0.0], [[0, 0], [0, 0]], [True, True], id="empty responses"),
        pytest.param([0.1, 0.1], [[1, 1], [1, 1]], [True, True], id="nothing to tell apart"),
    ],
)
def test_a_batch_without_gradient_is_exactly_zero(task, tokens, valid, whiten):
    result = one_group(task, tokens, valid, whiten=whiten)
    assert result.advantages.tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_one_response_token_cannot_be_whitened():
    assert one_group([1.0, 0.0], [[1, 0], [0, 0]], [True, True]).advantages.tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_shares_of_nothing_are_none():
    result = one_group([0.5, 0.5], [[1], [1]], [True, True])
    assert result.shares == {"task": None}
    assert result.zero_variance == {"task": 1.0}


def test_a_multiplier_of_zero_silences_its_signal():
    silent = {**ARGUMENTS, "multipliers": {"consistency": 0.0}}
    without = {**ARGUMENTS, "signals": {}, "masks": {}, "multipliers": {}}
    assert torch.equal(constrained_advantage(**silent).advantages, constrained_advantage(**without).advantages)
    assert constrained_advantage(**silent).shares == {"task": 1.0, "consistency": 0.0}


ARGUMENTS = {
    "task_B": torch.tensor([1.0, 0.0, 1.0]),
    "signals": {"consistency": torch.tensor([1.0, 0.0, 0.0])},
    "masks": {"consistency": torch.ones(3, dtype=torch.bool)},
    "multipliers": {"consistency": 1.0},
    "groups_B": torch.zeros(3, dtype=torch.long),
    "response_mask_BT": torch.ones(3, 2, dtype=torch.long),
}


def test_bad_arguments_are_named(subtests):
    for changed, message in [
        ({"multipliers": {}}, r"same keys, got \['consistency'\], \['consistency'\] and \[\]"),
        ({"masks": {"other": torch.ones(3, dtype=torch.bool)}}, "same keys"),
        ({"multipliers": {"consistency": NAN}}, "multiplier of consistency must be finite .* got nan"),
        ({"multipliers": {"consistency": -1.0}}, "multiplier of consistency .* got -1.0"),
        ({"signals": {"consistency": torch.tensor([1.0, NAN, 0.0])}}, "consistency is nan in row 1"),
        ({"task_B": torch.tensor([1.0, NAN, 0.0])}, "task is nan in row 1"),
        ({"signals": {"consistency": torch.zeros(2)}}, r"mask of consistency must be .* \(2,\)"),
        ({"masks": {"consistency": torch.ones(3)}}, "mask of consistency must be a boolean"),
        ({"valid_B": torch.ones(3)}, "valid_B must be a boolean"),
        ({"task_B": torch.zeros(3, 1)}, r"task must have one score per rollout.* \(3, 1\)"),
        ({"groups_B": torch.zeros(3)}, "groups_B must be an integer"),
        ({"response_mask_BT": torch.ones(2, 2)}, r"response_mask_BT must have shape \(3, T\)"),
        ({"response_mask_BT": torch.ones(3)}, r"response_mask_BT must have shape \(3, T\)"),
        ({"mask_mode": "ignore"}, "mask_mode must be one of exclude, zero_fill, got 'ignore'"),
        ({"whiten": "batch"}, "whiten must be one of token, rollout, none, got 'batch'"),
    ]:
        with subtests.test(changed=changed), pytest.raises(ValueError, match=message):
            constrained_advantage(**{**ARGUMENTS, **changed})


def test_a_signal_may_not_be_called_task():
    with pytest.raises(ValueError, match="'task'"):
        constrained_advantage(
            **{
                **ARGUMENTS,
                "signals": {"task": torch.zeros(3)},
                "masks": {"task": torch.ones(3, dtype=torch.bool)},
                "multipliers": {"task": 1.0},
            }
        )
