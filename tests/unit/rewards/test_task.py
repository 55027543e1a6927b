import pytest

from easyr1_fgrpo.rewards import Reason, RolloutScore, Signal, task_reward
from easyr1_fgrpo.rewards.response import parse_response
from easyr1_fgrpo.rewards.task import with_weighted_sum

YES, NO = Signal(1.0), Signal(0.0)
HALF = Signal(0.5)
NO_BOXES = Signal.absent(Reason.NO_REFERENCE)
UNASKED = Signal.absent(Reason.ANSWER_WRONG)


def test_rules():
    for rule, well_formed, accurate, consistency, spatial, expected in [
        ("weighted", True, True, NO, NO, 1.0),
        ("weighted", True, False, UNASKED, NO_BOXES, 0.5),
        ("weighted", False, True, YES, HALF, 0.5),
        ("weighted", False, False, UNASKED, HALF, 0.0),
        ("additive", True, True, YES, HALF, (1 + 1 + 0.5) / 3),
        ("additive", True, True, NO, HALF, (1 + 0 + 0.5) / 3),
        ("additive", True, True, YES, NO_BOXES, 1.0),
        ("additive", True, False, UNASKED, HALF, 0.5 / 3),
        ("additive", True, False, YES, NO_BOXES, 1 / 3),  # measured although wrong: R_acc R_C stays 0
        ("additive", False, True, YES, HALF, 2 / 3),
        ("multiplicative", True, True, YES, HALF, 0.75),
        ("multiplicative", True, True, NO, HALF, 0.25),
        ("multiplicative", True, False, UNASKED, NO_BOXES, 0.5),
        ("multiplicative", False, True, YES, HALF, 0.5),
        ("multiplicative", False, True, Signal.absent(Reason.UNPARSABLE), HALF, 0.0),
    ]:
        signal = task_reward(
            rule, well_formed=well_formed, accurate=accurate, consistency=consistency, spatial_grounding=spatial
        )
        assert signal.value == pytest.approx(expected), (rule, well_formed, accurate, consistency, spatial, expected)


def test_a_failed_judge_makes_scalar_rewards_absent():
    for reason in [Reason.JUDGE_UNREACHABLE, Reason.JUDGE_DEADLINE, Reason.JUDGE_INVALID]:
        failed = Signal.absent(reason)
        parts = {"well_formed": True, "consistency": failed, "spatial_grounding": HALF}
        for rule in ("additive", "multiplicative"):
            assert task_reward(rule, accurate=True, **parts) == Signal.absent(reason), reason
            assert task_reward(rule, accurate=False, **parts).valid, reason  # R_acc = 0 decides without the judge
        assert task_reward("weighted", accurate=True, **parts) == Signal(1.0), reason


def summed(weights, *, accurate=1.0, task=1.0, **signals):
    """The task reward of a rollout after its weighted sum."""
    every = {"task": Signal(task), "accuracy": Signal(accurate), "consistency": NO, "semantic_grounding": NO, **signals}
    score = RolloutScore(every, parse_response(""), consistency=None, sentences=(), truncated=False)
    return with_weighted_sum(score, weights).signals["task"]


def test_a_weighted_sum_is_the_weighted_mean():
    both = {"consistency": 1.0, "semantic_grounding": 3.0}
    for weights, signals, expected in [
        ({}, {"consistency": YES}, 1.0),
        (both, {"consistency": YES, "semantic_grounding": HALF}, (1 + 1 + 1.5) / 5),
        (both, {"consistency": YES, "semantic_grounding": YES}, 1.0),
        (both, {}, 1 / 5),
        ({"consistency": 0.0}, {"consistency": YES}, 1.0),
        # Signals of a wrong answer add nothing, measured or not, as they enter no constraint.
        (both, {"accurate": 0.0, "task": 0.5, "consistency": YES, "semantic_grounding": YES}, 0.5 / 5),
        (both, {"accurate": 0.0, "task": 0.5, "consistency": Signal.absent(Reason.JUDGE_DEADLINE)}, 0.5 / 5),
        ({"brief": 1.0}, {"accurate": 0.0, "task": 0.5, "brief": HALF}, 1.0 / 2),
        ({"brief": 1.0}, {"brief": Signal.absent(Reason.NOT_APPLICABLE)}, 1.0 / 2),
        ({"semantic_grounding": 1.0}, {"semantic_grounding": Signal.absent(Reason.NO_CLAIM)}, 1.0 / 2),
    ]:
        assert summed(weights, **signals).value == pytest.approx(expected), (weights, signals)


def test_a_weighted_sum_without_a_measurement_is_none():
    for reason in [Reason.JUDGE_UNREACHABLE, Reason.JUDGE_OVERSIZED, Reason.TOO_MANY_CLAIMS, Reason.NO_JUDGE]:
        failed = Signal.absent(reason)
        assert (
            summed({"consistency": 1.0, "semantic_grounding": 0.0}, consistency=YES, semantic_grounding=failed) == YES
        )
        assert summed({"semantic_grounding": 1.0}, consistency=YES, semantic_grounding=failed) == failed, reason
    truncated = Signal.absent(Reason.TRUNCATED)
    every = {"task": truncated, "accuracy": YES, "consistency": YES}
    score = RolloutScore(every, parse_response(""), consistency=None, sentences=(), truncated=True)
    assert with_weighted_sum(score, {"consistency": 1.0}).signals["task"] == truncated
