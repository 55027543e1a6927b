"""Intervals by hand, by standard errors, and against slow obvious versions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from easyr1_fgrpo.statistics import (
    Estimate,
    agreement_share,
    cohen_kappa,
    confusion_by_record,
    mcnemar,
    mean,
    mean_of_means,
    of_counts,
    paired_difference,
    share,
)

NOTHING = Estimate(value=None, low=None, high=None, n=0)


def obvious_kappa(pairs):
    n = len(pairs)
    observed = sum(a == b for a, b in pairs) / n
    chance = sum(sum(a == k for a, _ in pairs) / n * sum(b == k for _, b in pairs) / n for k in range(3))
    return (observed - chance) / (1 - chance)


def test_kappa_by_hand():
    for confusion, kappa in [
        ([[20, 5], [10, 15]], 0.4),  # p_o = 35/50, p_e = (25*30 + 25*20) / 2500 = 0.5
        ([[5, 0], [0, 3]], 1.0),
        ([[0, 5], [5, 0]], -1.0),
        ([[6, 0], [4, 0]], 0.0),  # the second rater says one thing only
        ([[10, 0], [0, 0]], None),  # both do
        ([[0, 0], [0, 0]], None),
    ]:
        measured = cohen_kappa(np.array(confusion))
        assert measured == (kappa if kappa is None else pytest.approx(kappa)), confusion


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=2, max_size=40))
def test_kappa_is_the_obvious_one_over_single_items(pairs):
    by_record = confusion_by_record([(number // 3, a, b) for number, (a, b) in enumerate(pairs)], 3)
    kappa = cohen_kappa(by_record.sum(axis=0))
    if len({label for pair in pairs for label in pair}) == 1:
        assert kappa is None
    else:
        assert kappa == pytest.approx(obvious_kappa(pairs))
    assert agreement_share(by_record.sum(axis=0)) == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))


def test_sentences_of_a_record_are_resampled_together():
    rng = np.random.default_rng(0)
    right = rng.random(60) < 0.7
    alone = confusion_by_record([(i, int(i % 2), int(i % 2 if ok else 1 - i % 2)) for i, ok in enumerate(right)], 2)
    tenfold = alone * 10  # every record says its one thing ten times: no more is known than before
    first, second = (of_counts(counts, cohen_kappa, seed=1) for counts in (alone, tenfold))
    assert (second.value, second.low, second.high) == (first.value, first.low, first.high)
    assert (first.n, second.n) == (60, 600)
    assert first.low < first.value < first.high


def test_the_interval_covers_the_truth_in_about_95_of_100():
    rng = np.random.default_rng(3)
    hits = 0
    for trial in range(60):
        agreed = rng.random(80) < 0.8
        counts = confusion_by_record([(i, 0, int(not ok)) for i, ok in enumerate(agreed)], 2)
        found = of_counts(counts, agreement_share, seed=trial)
        hits += found.low <= 0.8 <= found.high
    assert hits >= 51


def test_no_interval_where_there_is_none():
    certain = of_counts(confusion_by_record([(i, i % 2, i % 2) for i in range(50)], 2), agreement_share, seed=0)
    assert (certain.value, certain.low, certain.high) == (1.0, None, None)
    nothing = of_counts(confusion_by_record([], 3), cohen_kappa, seed=0)
    assert (nothing.value, nothing.low, nothing.high, nothing.n) == (None, None, None, 0)
    rarely_defined = of_counts(confusion_by_record([(0, 1, 1), (1, 0, 0)], 2), cohen_kappa, seed=0)
    assert (rarely_defined.value, rarely_defined.low) == (1.0, None)


def test_a_share_has_wilsons_interval():
    # p = .8, n = 10, z = 1.95996, z^2 = 3.84146: centre (.8 + .192073) / 1.384146 = .716740 and half width
    # 1.95996 sqrt(.016 + .00960365) / 1.384146 = .226577.
    estimate = share([True] * 8 + [False] * 2)
    assert (estimate.value, estimate.n) == (0.8, 10)
    assert estimate.low == pytest.approx(0.490163, abs=1e-5)
    assert estimate.high == pytest.approx(0.943317, abs=1e-5)


def test_a_share_of_none_keeps_an_interval():
    # 0 of 10: 0 to z^2 / (n + z^2) = 3.84146 / 13.84146
    estimate = share([False] * 10)
    assert (estimate.value, estimate.low) == (0.0, pytest.approx(0.0, abs=1e-9))
    assert estimate.high == pytest.approx(0.277533, abs=1e-5)


def test_a_mean_leaves_out_what_was_not_measured():
    estimate = mean([0.5, None, 1.0, None])
    assert (estimate.value, estimate.n) == (0.75, 2)
    assert (estimate.low, estimate.high) == (0.5, 1.0)


def test_a_means_interval_is_about_its_standard_error_and_repeatable():
    values = np.random.default_rng(0).uniform(size=400)
    estimate = mean(values, seed=3)
    half_width = 1.96 * values.std(ddof=1) / math.sqrt(400)
    assert estimate.low == pytest.approx(values.mean() - half_width, abs=0.1 * half_width)
    assert estimate.high == pytest.approx(values.mean() + half_width, abs=0.1 * half_width)
    assert mean(values, seed=3) == estimate
    assert mean(values, seed=4) != estimate


def test_nothing_is_none_and_equal_values_have_no_interval():
    assert share([]) == mean([]) == mean([None]) == NOTHING
    assert mean([0.4]) == Estimate(value=0.4, low=None, high=None, n=1)
    assert mean([0.4] * 50) == Estimate(value=0.4, low=None, high=None, n=50)


def test_a_difference_is_taken_within_pairs():
    estimate = paired_difference([(1.0, 0.0), (0.0, None), (None, 1.0), (0.5, 0.0)])
    assert (estimate.value, estimate.n) == (-0.75, 2)


def test_pairing_narrows_the_interval():
    rng = np.random.default_rng(0)
    hard = rng.uniform(size=200)
    a, b = hard + rng.normal(0, 0.01, 200), hard + 0.05 + rng.normal(0, 0.01, 200)
    paired = paired_difference(zip(a, b, strict=True))
    assert 0.045 < paired.low < paired.value < paired.high < 0.055
    shuffled = paired_difference(zip(a, rng.permutation(b), strict=True))
    assert shuffled.high - shuffled.low > 5 * (paired.high - paired.low)


def test_the_average_has_the_interval_of_its_parts():
    spread = mean_of_means([[0.0, 1.0] * 50, [0.0, 1.0] * 50])
    # each mean has a standard error of .05, their mean one of .0354: 95 % is .5 +- .069
    assert (spread.low, spread.high) == (pytest.approx(0.431, abs=0.02), pytest.approx(0.569, abs=0.02))
    assert mean_of_means([[1.0], [0.0, 1.0]]).value == 0.75
    assert mean_of_means([[1.0, 1.0], [1.0]]) == Estimate(value=1.0, low=None, high=None, n=3)


def test_mcnemar_is_exact():
    # 1 against 8 discordant pairs: 2 * P(X <= 1 | 9, 1/2) = 2 * 10/512
    pairs = [(1.0, 0.0)] + [(0.0, 1.0)] * 8 + [(1.0, 1.0)] * 20
    assert mcnemar(pairs) == pytest.approx(20 / 512)
    assert mcnemar([(1.0, 1.0), (0.0, 0.0)]) == 1.0


@settings(max_examples=50)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40))
def test_mcnemar_is_the_binomial_sum(pairs):
    first = sum(a and not b for a, b in pairs)
    second = sum(b and not a for a, b in pairs)
    slow = min(1.0, 2 * binom.cdf(min(first, second), first + second, 0.5)) if first + second else 1.0
    assert mcnemar([(float(a), float(b)) for a, b in pairs]) == pytest.approx(slow)
