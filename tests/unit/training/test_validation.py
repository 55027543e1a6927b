import math

from easyr1_fgrpo.rewards import Reason
from easyr1_fgrpo.training.validation import validation_means

NAN = math.nan


def test_means_are_over_what_was_measured():
    columns = {
        # the wrong rollout in the middle was judged too and counts: validation asks about all
        "consistency": [1.0, 0.0, NAN],
        "consistency_reason": [0.0, 0.0, float(Reason.JUDGE_DEADLINE)],
        "semantic_grounding": [NAN] * 3,
        "semantic_grounding_reason": [float(Reason.NO_CLAIM)] * 3,
    }
    assert validation_means(columns, ("consistency", "semantic_grounding", "never_reported")) == {
        "fgrpo/val/consistency/measured": 2,
        "fgrpo/val/consistency/mean": 0.5,
        "fgrpo/val/semantic_grounding/measured": 0,
        "fgrpo/val/never_reported/measured": 0,
    }
