import pytest

from easyr1_fgrpo.rewards import Reason, Signal, task_reward

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
