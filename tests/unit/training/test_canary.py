import math

import pytest

from easyr1_fgrpo.training.canary import MAX, MEAN, VALID, RolloutsDifferError, check_probabilities

BLIND = {MEAN: 0.155, MAX: 0.9995, VALID: 1}


def test_rounding_passes_and_blindness_does_not():
    check_probabilities(3, {MEAN: 1e-5, MAX: 0.2, VALID: 1}, 0.05)
    with pytest.raises(RolloutsDifferError) as refused:
        check_probabilities(3, BLIND, 0.05)
    said = str(refused.value)
    assert said.startswith("step 3: the rollout engine's token probabilities differ from the trainer's by 0.155 in the")
    for part in ("0.9995", "fgrpo.max_probs_difference=0.05", "load_format=auto", "top_p"):
        assert part in said


def test_what_is_no_number_or_was_not_measured_is_refused():
    for metrics in ({**BLIND, MEAN: math.nan}, {}, {VALID: 1}):
        with pytest.raises(RolloutsDifferError):
            check_probabilities(1, metrics, 0.05)


def test_nothing_to_compare_and_no_bound_pass():
    check_probabilities(1, {MEAN: math.nan, MAX: math.nan, VALID: 0}, 0.05)
    check_probabilities(1, BLIND, None)
    check_probabilities(1, {}, None)
