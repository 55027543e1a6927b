"""A function of the user's becomes a signal: a number in [0, 1], or the reason that it does not apply."""

from __future__ import annotations

import asyncio
import math

import pytest

from easyr1_fgrpo.config.schema import RESERVED, RewardSettings
from easyr1_fgrpo.judges.protocol import Label, Question, Verdict
from easyr1_fgrpo.rewards import Reason, Sample, Signal, failed_numbers, score_rollout
from easyr1_fgrpo.rewards.custom_signal import load_signal, with_custom_signals

SAMPLE = Sample(question="Which?", choices=("left", "right"), ground_truth="left")
RESPONSE = "<think>It lies to the left.</think><answer>left</answer>"


class Agrees:
    name = "agrees"

    async def ask(self, request):
        return Verdict(Label.YES if request.kind is Question.CONSISTENCY else Label.CORRECT, self.name)


def scored(function, response=RESPONSE):
    score = asyncio.run(score_rollout(SAMPLE, response, dict.fromkeys(Question, Agrees()), RewardSettings()))
    return with_custom_signals(score, SAMPLE, {"own": function})


def test_the_function_sees_the_sample_and_the_score():
    seen = []
    scored(lambda sample, score: seen.append((sample, score.response.trace, score.signals["accuracy"].value)))
    assert seen == [(SAMPLE, "It lies to the left.", 1.0)]


@pytest.mark.parametrize(
    ("value", "signal"), [(0.25, Signal(0.25)), (True, Signal(1.0)), (None, Signal.absent(Reason.NOT_APPLICABLE))]
)
def test_a_value_is_a_signal_and_none_is_not_applicable(value, signal):
    score = scored(lambda *_: value)
    assert score.signals["own"] == signal
    numbers = score.to_numbers()
    assert numbers["own_valid"] == float(value is not None)
    assert numbers["own_reason"] == float(signal.reason)
    assert math.isnan(numbers["own"]) == (value is None)


@pytest.mark.parametrize("value", [1.5, -0.1, math.nan, "much"])
def test_anything_else_is_an_error(value):
    with pytest.raises(ValueError, match=r"fgrpo\.signals\.own gave"):
        scored(lambda *_: value)


def test_a_rollout_without_a_score_has_the_same_keys():
    assert failed_numbers(Reason.REWARD_FAILED, ["own"]).keys() == scored(lambda *_: 1.0).to_numbers().keys()


def test_functions_are_loaded_from_a_file_or_a_module(tmp_path):
    (tmp_path / "mine.py").write_text("def half(sample, score):\n    return 0.5\nnumber = 3\n")
    assert load_signal(f"{tmp_path}/mine.py:half")(SAMPLE, None) == 0.5
    assert load_signal("math:sqrt") is math.sqrt


def test_what_cannot_be_loaded_is_named(subtests):
    for target, message in [
        ("mine.py", "write path/to/file.py:function"),
        ("nowhere.py:f", "FileNotFoundError"),
        ("math:nothing", "has no attribute 'nothing'"),
        ("math:pi", "is no function"),
        ("no.such.module:f", "ModuleNotFoundError"),
    ]:
        with subtests.test(target=target), pytest.raises(ValueError, match=message):
            load_signal(target)


def test_the_example_falls_from_its_budget_to_twice_it():
    length_budget = load_signal("recipes/examples/length_budget.py:length_budget")
    for words, expected in ((18, 1.0), (27, 0.5), (36, 0.0), (60, 0.0), (1, 1.0)):
        response = f"<think>{' '.join(['word'] * words)}</think><answer>left</answer>"
        assert scored(length_budget, response).signals["own"].value == expected
    assert scored(length_budget, "left").signals["own"].reason is Reason.NOT_APPLICABLE


def test_no_custom_signal_can_take_the_place_of_another_number():
    """A rollout's numbers are one flat dictionary; a signal named like a count would be overwritten by it."""
    for name in failed_numbers(Reason.REWARD_FAILED):
        assert RESERVED.fullmatch(name), name
    assert not RESERVED.fullmatch("length_budget")
