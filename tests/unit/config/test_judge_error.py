import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from easyr1_fgrpo.config.judge_error import JudgeErrorSettings
from easyr1_fgrpo.config.load import load_config, read_settings
from easyr1_fgrpo.config.problems import problems_of
from easyr1_fgrpo.config.schema import ConstraintSettings, FgrpoConfig

rates = st.floats(0.0, 1.0)


@st.composite
def errors(draw):
    """Judges that tell something, short of rounding."""
    false_negative = draw(st.floats(0.0, 0.8))
    return JudgeErrorSettings(false_negative=false_negative, false_positive=draw(st.floats(0.0, 0.8 - false_negative)))


def judge_error(false_negative, false_positive):
    return JudgeErrorSettings(false_negative=false_negative, false_positive=false_positive)


def test_what_a_judge_that_errs_measures():
    # .95 x .9 + .05 x .1 = .855 + .005
    assert judge_error(0.1, 0.1).measured(0.95) == pytest.approx(0.86, abs=1e-12)
    # (.8 - .05) / (1 - .2 - .05) = .75 / .75
    assert judge_error(0.2, 0.05).true_rate(0.8) == pytest.approx(1.0, abs=1e-12)
    # perfect traces and traces none of which is good
    assert (judge_error(0.25, 0.125).measured(1.0), judge_error(0.25, 0.125).measured(0.0)) == (0.75, 0.125)
    # more refused than in the mean: (.04 - .05) / .75, below 0 and not cut off
    assert judge_error(0.2, 0.05).true_rate(0.04) == pytest.approx(-0.01 / 0.75)


@given(rates)
def test_a_judge_without_errors_changes_nothing(rate):
    assert judge_error(0.0, 0.0).measured(rate) == judge_error(0.0, 0.0).true_rate(rate) == rate


@given(errors(), rates, rates)
def test_a_higher_rate_is_measured_higher(errors, first, second):
    low, high = sorted((first, second))
    assert errors.measured(low) <= errors.measured(high) + 1e-15
    assert -1e-15 <= errors.measured(low) <= 1.0 + 1e-15


@given(errors(), rates)
def test_the_estimate_is_the_inverse(errors, rate):
    assert errors.true_rate(errors.measured(rate)) == pytest.approx(rate, abs=1e-12)


@given(errors(), st.lists(st.lists(rates, min_size=1, max_size=4), min_size=1, max_size=4))
def test_a_mean_of_means_is_measured_like_a_rate(errors, sentences):
    of_rollouts = [math.fsum(rollout) / len(rollout) for rollout in sentences]
    measured = [math.fsum(map(errors.measured, rollout)) / len(rollout) for rollout in sentences]
    true = math.fsum(of_rollouts) / len(of_rollouts)
    assert math.fsum(measured) / len(measured) == pytest.approx(errors.measured(true), abs=1e-12)


def test_scores_are_compared_with_what_the_judge_measures():
    assert ConstraintSettings(threshold=0.95).measured_threshold == 0.95
    erring = ConstraintSettings(threshold=0.95, judge_error=judge_error(0.1, 0.1))
    assert (erring.threshold, erring.measured_threshold) == (0.95, pytest.approx(0.86, abs=1e-12))


@pytest.mark.parametrize(
    ("name", "given", "line"),
    [
        *(
            (
                "consistency",
                given,
                f"consistency.judge_error={given!r}: Input should be both shares, for example {{false",
            )
            for given in (0.1, {"false_negative": 0.1}, {}, True, "10 %")
        ),
        (
            "consistency",
            {"false_negative": -0.1, "false_positive": 0.0},
            "consistency.judge_error.false_negative=-0.1: Input should be greater than or equal to 0",
        ),
        (
            "consistency",
            {"false_negative": 0.1, "false_positive": 1.0},
            "consistency.judge_error.false_positive=1.0: Input should be less than 1, as a share: 10 % is 0.1",
        ),
        (
            "consistency",
            {"false_negative": 0.49, "false_positive": 0.5},
            "consistency.judge_error: false_negative=0.49 and false_positive=0.5: they must add up to 0.8 or less, for "
            "a judge beyond that tells next to nothing; take another judge",
        ),
        (
            "consistency",
            {"false_negative": 0.1, "false_positive": 0.1, "rate": 0.1},
            "consistency.judge_error.rate: unknown key, allowed: false_negative, false_positive",
        ),
        (
            "spatial_grounding",
            {"false_negative": 0.1, "false_positive": 0.1},
            "spatial_grounding.judge_error: boxes are compared with the row's, and no judge errs there; leave it out",
        ),
    ],
)
def test_what_is_no_judges_error_is_refused_in_one_line(name, given, line):
    config = {
        "run_dir": "runs/test",
        "constraint_keys": [name],
        "constraints": {name: {"threshold": 0.9, "judge_error": given}},
        "judges": {},
    }
    with pytest.raises(ValidationError) as caught:
        FgrpoConfig.model_validate(config)
    (problem,) = problems_of(caught.value)
    assert problem.startswith(f"fgrpo.constraints.{line}")


def test_the_last_judge_that_tells_enough():
    assert judge_error(0.4, 0.4).measured(1.0) == 0.6  # 1 - .4 - .4 is 0.2 but for rounding
    with pytest.raises(ValidationError, match=r"must add up to 0\.8 or less"):
        judge_error(0.4, 0.41)


def test_a_signal_of_ones_own_may_be_a_verdict_too():
    config = {
        "run_dir": "runs/test",
        "constraint_keys": ["polite"],
        "constraints": {"polite": {"threshold": 0.5, "judge_error": {"false_negative": 0.2, "false_positive": 0.1}}},
        "signals": {"polite": "polite.py:polite"},
        "judges": {},
    }
    # .5 x .8 + .5 x .1
    assert FgrpoConfig.model_validate(config).constraints["polite"].measured_threshold == pytest.approx(0.45)


def test_an_override_and_two_say_the_same():
    key = "fgrpo.constraints.consistency.judge_error"
    one = read_settings(load_config([f"{key}={{false_negative: 0.08, false_positive: 0.03}}"]))
    two = read_settings(load_config([f"{key}.false_negative=0.08", f"{key}.false_positive=0.03"]))
    assert one == two
    assert one.constraints["consistency"].judge_error == judge_error(0.08, 0.03)
    assert FgrpoConfig.model_validate_json(one.model_dump_json()) == one
