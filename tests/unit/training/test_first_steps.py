# A run that cannot learn is told by its first steps, with the likely cause.
import pytest

from easyr1_fgrpo.training.first_steps import FirstSteps, HopelessRunError, signs

GOOD = {
    "fgrpo/task/zero_variance_groups": 0.5,
    "fgrpo/consistency/zero_variance_groups": 1.0,
    "fgrpo/consistency/threshold": 0.95,
    "fgrpo/consistency/applicable": 4.0,
    "fgrpo/signals/format/mean": 0.9,
    "fgrpo/signals/accuracy/mean": 0.5,
    "fgrpo/rollouts/truncated/mean": 0.1,
}
STILL = {**GOOD, "fgrpo/task/zero_variance_groups": 1.0}


def test_each_sign_has_its_cause():
    assert signs(GOOD) == []
    for key, value, said in (
        ("fgrpo/rollouts/truncated/mean", 0.95, "nearly all responses are cut off (data.max_response_length"),
        ("fgrpo/signals/format/mean", 0.0, "no response has the format (the model was not warm-started"),
        ("fgrpo/signals/accuracy/mean", 0.0, "no answer is right (ground truth"),
        ("fgrpo/consistency/applicable", 0.0, "consistency applies to no rollout (it is asked of right answers)"),
        ("fgrpo/task/zero_variance_groups", 1.0, "in no group a rollout differs from another in any signal"),
    ):
        (sign,) = signs({**GOOD, key: value})
        assert sign.startswith(said), key
    assert signs({}) == [], "what was not measured is no sign"


def test_three_first_steps_without_variance_end_the_run():
    watch = FirstSteps(stop=True)
    watch.see(1, STILL)
    watch.see(2, STILL)
    with pytest.raises(HopelessRunError, match="first 3 steps had nothing to learn from: in no group a"):
        watch.see(3, STILL)


def test_one_that_varies_or_comes_later_does_not():
    for steps, stop in (
        ([(1, STILL), (2, GOOD), (3, STILL), (4, STILL)], True),
        ([(2, STILL), (3, STILL), (4, STILL), (5, STILL)], True),  # resumed after step 1
        ([(1, {}), (2, {}), (3, {})], True),
        ([(1, STILL), (2, STILL), (3, STILL)], False),
    ):
        watch = FirstSteps(stop=stop)
        for number, metrics in steps:
            watch.see(number, metrics)
