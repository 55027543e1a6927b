"""What judging adds to a step, by hand."""

from easyr1_fgrpo.preflight.hidden import Judging


def test_by_hand():
    for calls, at_once, answer_s, rollout_s, spread, added_s in [
        (0, 64, 2.0, 10.0, 0.0, 0.0),  # nobody is asked
        (200, 64, 2.0, 10.0, 0.0, 8.0),  # all rollouts end at once: four waves
        (64, 64, 2.0, 10.0, 0.0, 2.0),
        (
            640,
            64,
            2.0,
            40.0,
            0.5,
            2.0,
        ),  # ten waves in the twenty seconds in which rollouts end: the last answer is left
        (640, 64, 5.0, 40.0, 0.5, 30.0),  # fifty seconds of answers, of which twenty are hidden
        (640, 64, 0.0, 40.0, 0.5, 0.0),
    ]:
        assert Judging(calls, at_once, answer_s).added_s(rollout_s, spread) == added_s
