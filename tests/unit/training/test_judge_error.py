"""Thresholds that a judge of known error can reach: the loop of policy, judge and dual step, closed by a simulation."""

import math

import pytest
import torch
from made_trainer import settings_of
from reported import numbers, scored

from easyr1_fgrpo.config.judge_error import JudgeErrorSettings
from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.training.controllers import build_controller

from .made_steps import make, step_of

ERRORS = {"false_negative": 0.1, "false_positive": 0.1}
STEPS, ROLLOUTS, CAP = 800, 400, 5.0


def consistency(**error):
    return {"constraint_keys": ["consistency"], "constraints": {"consistency": {"threshold": 0.95, **error}}}


def policy(multiplier):
    """The true rate that a policy settles at: it never quite reaches 1, however heavily it is weighed."""
    return 1.0 - 0.3 * math.exp(-multiplier)


def closed_loop(judge_error):
    """True rates and multipliers of a run whose judge errs by `ERRORS`, whatever its config says."""
    dual = {"lr": 0.5, "lambda_max": CAP, "min_applicable": 1}
    settings = FgrpoConfig.model_validate(settings_of(dual=dual, **consistency(judge_error=judge_error)))
    controller, errors = build_controller(settings), JudgeErrorSettings(**ERRORS)
    generator = torch.Generator().manual_seed(0)
    rates, multipliers = [], []
    for _ in range(STEPS):
        rates.append(policy(controller.multipliers["consistency"]))
        good = torch.rand(ROLLOUTS, generator=generator) < rates[-1]
        wrong = torch.rand(ROLLOUTS, generator=generator) < torch.where(
            good, errors.false_negative, errors.false_positive
        )
        record = controller.step({"consistency": ((good ^ wrong).double(), torch.ones(ROLLOUTS, dtype=torch.bool))})
        multipliers.append(record["consistency"].multiplier)
    return rates, multipliers


def test_without_the_errors_the_multiplier_rises_to_its_cap_and_stays():
    rates, multipliers = closed_loop(None)
    # perfect traces measure .9, .95 is asked: .5 x .05 a step and more, 4 / .025 = 160 steps at most
    assert min(multipliers[200:]) > CAP - 0.2
    assert sum(rates[-200:]) / 200 > 0.99


def test_with_them_it_settles_where_the_true_rate_is_the_one_asked_for():
    rates, multipliers = closed_loop(ERRORS)
    assert sum(rates[-400:]) / 400 == pytest.approx(0.95, abs=0.005)
    # 1 - .3 exp(-x) = .95 at x = ln 6 = 1.79
    assert sum(multipliers[-400:]) / 400 == pytest.approx(math.log(6), abs=0.15)
    assert max(multipliers) < 3.0


def test_metrics_say_what_is_compared_and_what_it_stands_for():
    rows = {f"p_{number}_0": numbers(scored(1.0), scored(float(number < 8))) for number in range(10)}
    _, metrics = step_of(make(**consistency(judge_error=ERRORS)), rows)
    # .8 against .95 x .9 + .05 x .1 = .86; (.8 - .1) / (1 - .1 - .1) = .875
    expected = {"score": 0.8, "threshold": 0.86, "violation": 0.06, "next_multiplier": 1.006,
                "threshold_asked": 0.95, "score_corrected": 0.875}  # fmt: skip
    assert {name: metrics[f"fgrpo/consistency/{name}"] for name in expected} == pytest.approx(expected, abs=1e-9)


def test_nothing_is_corrected_without_errors_or_without_a_score():
    measured = {"p_0_0": numbers(scored(1.0), scored(1.0)), "p_1_0": numbers(scored(1.0), scored(0.0))}
    _, metrics = step_of(make(**consistency()), measured)
    assert not {"fgrpo/consistency/threshold_asked", "fgrpo/consistency/score_corrected"} & set(metrics)
    unmeasured = {key: numbers(scored(1.0)) for key in measured}
    _, metrics = step_of(make(**consistency(judge_error=ERRORS)), unmeasured)
    assert metrics["fgrpo/consistency/threshold_asked"] == 0.95
    assert "fgrpo/consistency/score_corrected" not in metrics
