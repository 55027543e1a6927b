import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from easyr1_fgrpo.algorithm import group_normalize, zero_variance_fraction

from .slow_loops import slow_normalize, slow_zero_variance

NAN, INF = float("nan"), float("inf")


def z(scores, groups=None, mask=None, **options):
    groups = torch.zeros(len(scores), dtype=torch.long) if groups is None else torch.tensor(groups, dtype=torch.long)
    mask = None if mask is None else torch.tensor(mask)
    return group_normalize(torch.tensor(scores, dtype=torch.float64), groups, mask, **options).tolist()


def tensors(scores, groups, mask):
    return (
        torch.tensor(scores, dtype=torch.float64),
        torch.tensor(groups, dtype=torch.long),
        torch.tensor(mask, dtype=torch.bool),
    )


@st.composite
def batches(draw):
    size = draw(st.integers(0, 40))
    rows = lambda elements: draw(st.lists(elements, min_size=size, max_size=size))  # noqa: E731
    # Few distinct scores, so that equal, partly equal and different groups all come up.
    scores = rows(st.sampled_from([0.0, 0.1, 0.3, 0.7, 1.0]) | st.floats(0, 1))
    return scores, rows(st.sampled_from([-7, 0, 3, 10**12])), rows(st.booleans())


def test_golden_applicable_members_only():
    # mean 2/3; squared deviations 1/9 + 1/9 + 4/9 = 2/3, over n-1 = 2: std = sqrt(1/3) = .57735
    # z = (1/3)/.57735 = .57735 twice and (-2/3)/.57735 = -1.15470
    expected = [0.57735, 0.57735, -1.15470, 0.0, 0.0]
    assert z([1, 1, 0, NAN, INF], mask=[True, True, True, False, False]) == pytest.approx(expected, abs=1e-5)


def test_golden_small_spread_and_its_floor():
    # mean .902; deviations -.002 four times and .008: (4 * 4e-6 + 64e-6) / 4 = 20e-6, std = .00447214
    # z(.91) = .008 / (.00447214 + 1e-6) = 1.78846; with min_std = .1: .008 / (.1 + 1e-6) = .08
    scores = [0.90, 0.91, 0.90, 0.90, 0.90]
    assert z(scores)[1] == pytest.approx(1.78846, abs=1e-4)
    assert z(scores, min_std=0.1)[1] == pytest.approx(0.08, abs=1e-4)


def test_equal_scores_are_exactly_zero():
    for scores in [[0.1] * 3, [0.7] * 5, [0.0] * 4, [1 / 3] * 7, [1e-9] * 6]:
        assert z(scores) == [0.0] * len(scores), scores


def test_the_mean_of_equal_scores_does_round():
    # Why the test above is no triviality: (.1 + .1 + .1) / 3 is not .1 in float64.
    assert (0.1 + 0.1 + 0.1) / 3 != 0.1


def test_a_group_with_too_few_applicable_members_is_zero():
    scores, groups, mask = [0.0, 1.0, 0.0, 1.0, 0.0], [0, 0, 1, 1, 1], [True, False, True, True, True]
    assert z(scores, groups, mask)[:2] == [0.0, 0.0]
    assert all(z(scores, groups, mask)[2:])
    assert z(scores, groups, mask, min_group_valid=4) == [0.0] * 5


@given(batches(), st.integers(2, 4), st.sampled_from([0.0, 0.05, 1.0]))
def test_equals_the_slow_loop(batch, min_group_valid, min_std):
    result = group_normalize(*tensors(*batch), min_group_valid=min_group_valid, min_std=min_std)
    assert result.dtype == torch.float64
    assert result.tolist() == pytest.approx(slow_normalize(*batch, min_group_valid, min_std, 1e-6), abs=1e-9)


@given(batches(), st.integers(2, 4))
def test_rows_without_a_comparison_are_exactly_zero(batch, min_group_valid):
    # A score that happens to equal its group's mean may be off by a rounding; these may not.
    _, groups, mask = batch
    applicable = {g: [s for s, h, m in zip(*batch, strict=True) if m and h == g] for g in groups}
    dead = {g for g, values in applicable.items() if len(values) < min_group_valid or len(set(values)) == 1}
    result = group_normalize(*tensors(*batch), min_group_valid=min_group_valid).tolist()
    assert all(z == 0.0 for z, g, m in zip(result, groups, mask, strict=True) if g in dead or not m)


@given(batches(), st.integers(2, 4))
def test_zero_variance_fraction_equals_the_slow_loop(batch, min_group_valid):
    fraction = zero_variance_fraction(*tensors(*batch), min_group_valid=min_group_valid)
    assert fraction == slow_zero_variance(*batch, min_group_valid)


@given(batches(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(batch, random):
    order = list(range(len(batch[0])))
    random.shuffle(order)
    straight = tensors(*batch)
    shuffled = [tensor[order] for tensor in straight]
    torch.testing.assert_close(group_normalize(*shuffled), group_normalize(*straight)[order], rtol=1e-9, atol=1e-9)


def test_integer_and_float32_scores_are_taken():
    groups = torch.zeros(3, dtype=torch.int32)
    expected = z([1, 1, 0])
    for dtype in (torch.int64, torch.float32, torch.bool):
        assert group_normalize(torch.tensor([1, 1, 0]).to(dtype), groups).tolist() == expected


def test_zero_variance_fraction_golden():
    # group 0 varies, group 1 is constant where it applies, group 2 has one applicable member and is not counted
    scores = torch.tensor([0.0, 1.0, 0.1, 0.1, 0.9, 0.5])
    groups = torch.tensor([0, 0, 1, 1, 1, 2])
    mask = torch.tensor([True, True, True, True, False, True])
    assert zero_variance_fraction(scores, groups, mask) == 0.5
    assert zero_variance_fraction(scores, groups, mask, min_group_valid=3) is None
    assert zero_variance_fraction(scores[:0], groups[:0]) is None


def test_a_missing_measurement_is_no_number(subtests):
    for bad in [NAN, INF, -INF]:
        with (
            subtests.test(bad=bad),
            pytest.raises(ValueError, match=f"scores_B is {bad} in row 1.*set its mask to False"),
        ):
            z([0.0, bad, 1.0], mask=[True, True, False])


def test_bad_arguments_are_named(subtests):
    for arguments, message in [
        ({"scores_B": torch.zeros(3, 1)}, r"shape \(B,\), got shape \(3, 1\)"),
        ({"groups_B": torch.zeros(3)}, "groups_B must be an integer tensor"),
        ({"groups_B": torch.zeros(3, dtype=torch.bool)}, "groups_B must be an integer tensor"),
        ({"groups_B": torch.zeros(2, dtype=torch.long)}, r"groups_B must be .* shape \(3,\)"),
        ({"mask_B": torch.ones(3)}, "mask of scores_B must be a boolean tensor"),
        ({"mask_B": torch.ones(2, dtype=torch.bool)}, r"mask of scores_B must be .* shape \(3,\)"),
        ({"min_group_valid": 1}, "min_group_valid must be at least 2 .* got 1"),
        ({"min_std": -0.1}, "min_std=-0.1"),
        ({"min_std": NAN}, "min_std=nan"),
        ({"eps": 0.0}, "eps=0.0"),
    ]:
        with subtests.test(arguments=arguments):
            good = {"scores_B": torch.zeros(3), "groups_B": torch.zeros(3, dtype=torch.long)}
            with pytest.raises(ValueError, match=message):
                group_normalize(**{**good, **arguments})


def test_nothing_in_nothing_out():
    assert z([], []) == []
    assert math.isfinite(sum(z([NAN, NAN], mask=[False, False])))
