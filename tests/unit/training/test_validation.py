import math

import pytest

from easyr1_fgrpo.rewards import Reason
from easyr1_fgrpo.training.validation import validation_metrics

NAN = math.nan
LOST, NO_CLAIM = float(Reason.JUDGE_DEADLINE), float(Reason.NO_CLAIM)
WANTED = ("consistency", "semantic_grounding", "never_reported")


def test_means_are_over_what_was_measured(caplog):
    columns = {
        # The second, a wrong rollout, was judged too and counts: validation asks about all. The last never came back.
        "consistency": [1.0, 0.0, NAN, None],
        "consistency_reason": [0.0, 0.0, LOST, None],
        "judge_consistency_cause": ["", "", "http://a/v1 gave no answer within 20 s", None],
        "judge_grounding_verdicts": [2.0, 9.0, 12.0, None],
        "judge_grounding_failures": [0.0, 0.0, 1.0, None],
        "semantic_grounding": [NAN] * 3 + [None],
        "semantic_grounding_reason": [NO_CLAIM] * 3 + [None],
    }
    found = validation_metrics(5, columns, WANTED)
    expected = {
        "fgrpo/val/consistency/measured": 2,
        "fgrpo/val/consistency/mean": 0.5,
        "fgrpo/val/consistency/valid_share": pytest.approx(2 / 3),
        "fgrpo/val/semantic_grounding/measured": 0,
        "fgrpo/val/never_reported/measured": 0,
        "fgrpo/val/judges/grounding/measured_share/few": 1.0,
        "fgrpo/val/judges/grounding/measured_share/many": 0.5,
    }
    judges = {key for key in found if key.startswith("fgrpo/val/judges/")}
    assert {key: value for key, value in found.items() if key in expected or key not in judges} == expected
    (warned,) = caplog.records
    assert warned.getMessage() == (
        "validation at step 5: the judge measured consistency on 66.7% of its rollouts ({'judge_deadline': 1}; its "
        "last causes: http://a/v1 gave no answer within 20 s)"
    )


def test_a_validation_without_any_measurement_is_no_silence(caplog):
    dead = {"semantic_grounding": [NAN] * 4, "semantic_grounding_reason": [LOST] * 4}
    found = validation_metrics(0, dead, ["semantic_grounding"])
    assert found["fgrpo/val/semantic_grounding/valid_share"] == 0.0
    assert "fgrpo/val/semantic_grounding/mean" not in found
    assert "the judge measured semantic_grounding on 0.0% of its rollouts ({'judge_deadline': 4}" in caplog.text


def test_a_judge_that_answers_is_not_warned_of(caplog):
    sound = {"consistency": [1.0] * 20, "consistency_reason": [0.0] * 19 + [LOST]}
    assert validation_metrics(0, sound, ["consistency"])["fgrpo/val/consistency/valid_share"] == 0.95
    assert not caplog.records
