import json
import pickle

import pytest
from reported import absent, numbers, scored

from easyr1_fgrpo.rewards import Reason
from easyr1_fgrpo.training.judge_metrics import CAUSES
from easyr1_fgrpo.training.unmeasured import ConstraintUnmeasuredError

from .made_steps import make, step_of

GOOD = {f"p_{i}_0": numbers(scored(1.0), scored(0.5)) for i in range(4)}
LOST = numbers(scored(1.0), absent(Reason.JUDGE_UNREACHABLE), **{CAUSES["consistency"]: "http://a/v1 refuses"})
DEAD = {f"p_{i}_0": LOST for i in range(4)}
NOTHING_TO_MEASURE = {f"p_{i}_0": numbers(scored(0.0)) for i in range(4)}


def steps(*rows, **changes):
    fgrpo = make(constraint_keys=["consistency"], **changes)
    for step in rows:
        step_of(fgrpo, step)
    return fgrpo.unmeasured


def test_a_judge_that_is_gone_ends_the_run_with_the_cause():
    last = {**DEAD, "p_4_0": LOST | {CAUSES["consistency"]: "http://a/v1 gave no answer within 20 s"}}
    unmeasured = steps(DEAD, DEAD | dict(list(GOOD.items())[:1]), last)
    assert unmeasured.due
    with pytest.raises(ConstraintUnmeasuredError) as ended:
        unmeasured.check()
    for part in (
        "step 1: consistency was not measured for 3 steps in a row, and fgrpo.max_unmeasured_steps=3: its judge "
        "measured 0%, 25%, 0% of its rollouts where 50% are needed, on the last step with {'judge_unreachable': 5}",
        "last causes: http://a/v1 gave no answer within 20 s; http://a/v1 refuses.",
        "run the same command: what is left goes on from the last checkpoint",
    ):
        assert part in str(ended.value)
    assert "\n" not in str(ended.value)
    assert str(pickle.loads(pickle.dumps(ended.value))) == str(ended.value)  # Ray sends it


def test_a_judge_that_refuses_the_key_ends_the_run_at_once():
    cause = {CAUSES["consistency"]: "http://a/v1 answered 401: no; check the API key in JUDGE_KEY"}
    refused = numbers(scored(1.0), absent(Reason.JUDGE_REFUSED), **cause)
    unmeasured = steps({f"p_{i}_0": refused for i in range(4)})
    assert unmeasured.due
    with pytest.raises(ConstraintUnmeasuredError, match="step 1: the judge of consistency refuses the key") as ended:
        unmeasured.check()
    assert "check the API key in JUDGE_KEY. Give it one that is valid and run the same command" in str(ended.value)
    assert not steps({**GOOD, "q_0_0": refused}).due, "where enough is measured all the same"


def test_a_policy_that_floods_its_judge_ends_the_run_too():
    cause = {CAUSES["consistency"]: "300 claims, and reward.max_claims=256"}
    flooding = {f"p_{i}_0": numbers(scored(1.0), absent(Reason.TOO_MANY_CLAIMS), **cause) for i in range(4)}
    unmeasured = steps(flooding, flooding, flooding)
    with pytest.raises(ConstraintUnmeasuredError, match=r"\{'too_many_claims': 4\}.*300 claims, and reward.max_cl"):
        unmeasured.check()


def test_only_steps_in_a_row_count():
    for rows in ((DEAD, DEAD), (DEAD, DEAD, GOOD, DEAD, DEAD), (DEAD, DEAD, DEAD, GOOD), (NOTHING_TO_MEASURE,) * 5):
        unmeasured = steps(*rows)
        assert not unmeasured.due
        unmeasured.check()
    assert steps(DEAD, max_unmeasured_steps=1).due
    assert steps(DEAD, DEAD, NOTHING_TO_MEASURE, DEAD).due


def test_the_count_outlives_a_resume():
    before = steps(DEAD, DEAD)
    for row, ends in ((DEAD, True), (GOOD, False)):
        fgrpo = make(constraint_keys=["consistency"])
        fgrpo.unmeasured.load_state_dict(json.loads(json.dumps(before.state_dict())))
        step_of(fgrpo, row)
        assert fgrpo.unmeasured.due == ends
    assert fgrpo.unmeasured.state_dict() == {}


def test_a_run_that_is_started_again_and_again_learns_nothing_while_the_judge_is_gone():
    """Its next step ends before the trainer computes; with the judge back it counts anew."""
    ended = steps(DEAD, DEAD, DEAD)
    for _ in range(3):
        fgrpo = make(constraint_keys=["consistency"])
        fgrpo.unmeasured.load_state_dict(ended.state_dict())
        with pytest.raises(ConstraintUnmeasuredError, match="for 4 steps in a row"):
            step_of(fgrpo, DEAD)
    fgrpo = make(constraint_keys=["consistency"])
    fgrpo.unmeasured.load_state_dict(ended.state_dict())
    for row in (NOTHING_TO_MEASURE, GOOD, DEAD, DEAD):
        step_of(fgrpo, row)
        assert not fgrpo.unmeasured.due


def test_below_a_good_share_a_step_warns_once(caplog):
    """9 of 10 measured: enough for the multiplier to move."""
    rows = {f"p_{i}_0": numbers(scored(1.0), scored(0.5)) for i in range(9)} | {"p_9_0": LOST}
    steps(rows)
    (record,) = caplog.records
    assert record.message == "step 1: judges measured less than 95%: consistency 90.0% ({'judge_unreachable': 1})"
    caplog.clear()
    steps(GOOD)
    assert not caplog.records
