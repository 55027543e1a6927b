import pytest
import torch
from reported import absent, numbers, scored

from easyr1_fgrpo.algorithm import constrained_advantage
from easyr1_fgrpo.rewards import Reason
from easyr1_fgrpo.training.sentence_tokens import SENTENCE_TOKENS
from easyr1_fgrpo.training.step import RolloutsFailedError
from easyr1_fgrpo.training.step_signals import metrics_of

from .made_steps import begin, make, step_of

GOOD = {
    "p_0_0": numbers(scored(1.0), scored(1.0), scored(0.75)),
    "p_1_0": numbers(scored(0.5), scored(0.0), scored(0.25)),
    "p_2_0": numbers(scored(0.0)),
    "p_3_0": numbers(scored(1.0), scored(1.0)),
}


def test_a_controllers_terms_are_logged():
    dual = {"controller": "pid", "lr": 0.1, "kp": 2.0, "min_applicable": 1}
    _, metrics = step_of(make(dual=dual), GOOD)
    violation = 0.95 - 2 / 3
    logged = {name: metrics[f"fgrpo/consistency/{name}"] for name in ("proportional", "integral", "derivative")}
    assert logged == pytest.approx({"proportional": 2 * violation, "integral": 1 + 0.1 * violation, "derivative": 0.0})


def test_advantages_use_the_multipliers_from_before_the_dual_step():
    fgrpo = make()
    advantage, metrics = step_of(fgrpo, GOOD)
    step, multipliers = begin(make(), GOOD), {"consistency": 1.0, "spatial_grounding": 0.5}
    scores, masks = ({name: found[name] for name in multipliers} for found in (step.scores, step.masks))
    mask_BT = torch.ones(4, 2, dtype=torch.long)
    expected = constrained_advantage(step.task_B, scores, masks, multipliers, step.groups_B, mask_BT)
    assert torch.equal(advantage.advantages, expected.advantages)
    # consistency 1, 0, 1: score 2/3, violation .95 - 2/3; spatial .75, .25: score .5, violation .15
    consistency = {
        "score": 2 / 3, "applicable": 3, "threshold": 0.95, "violation": 0.95 - 2 / 3, "multiplier": 1.0,
        "next_multiplier": 1.0 + 0.1 * (0.95 - 2 / 3), "updated": 1.0, "saturated": 0.0,
    }  # fmt: skip
    spatial = {
        "score": 0.5, "applicable": 2, "threshold": 0.65, "violation": 0.15, "multiplier": 0.5,
        "next_multiplier": 0.515, "updated": 1.0, "saturated": 0.0,
    }  # fmt: skip
    for key, record in (("consistency", consistency), ("spatial_grounding", spatial)):
        logged = {name: metrics[f"fgrpo/{key}/{name}"] for name in record}
        assert logged == pytest.approx(record, abs=1e-6)
        assert metrics[f"fgrpo/{key}/share"] == pytest.approx(expected.shares[key])
        assert metrics[f"fgrpo/{key}/zero_variance_groups"] == 0.0
    assert metrics["fgrpo/task/share"] == pytest.approx(expected.shares["task"])
    assert metrics["fgrpo/dual/lambda_max"] == 1.5
    assert fgrpo.controller.multipliers["spatial_grounding"] == pytest.approx(0.515)
    assert metrics["fgrpo/rollouts/failed_share"] == 0.0
    assert metrics_of(step).items() <= metrics.items()


def test_the_sentence_level_reaches_the_advantage_and_not_the_dual_step():
    tokens = {"p_0_0": [(0, 1, 1.0), (1, 2, 0.0)], "p_1_0": [(1, 2, 1.0)]}
    grounded = {"semantic_grounding": 0.5, "semantic_grounding_valid": 1.0, "semantic_grounding_reason": 0.0}
    rows = {key: row | grounded | {SENTENCE_TOKENS: tokens.get(key, [])} for key, row in GOOD.items()}
    outcome, sentence = (
        make(constraint_keys=["semantic_grounding"], reward={"level": level}) for level in ("outcome", "sentence")
    )
    (whole, whole_metrics), (split, split_metrics) = step_of(outcome, rows), step_of(sentence, rows)
    assert split.advantages[0, 0] > split.advantages[0, 1]
    assert whole.advantages[0, 0] == whole.advantages[0, 1]
    assert sentence.controller.state_dict() == outcome.controller.state_dict()
    assert split_metrics["fgrpo/semantic_grounding/share"] > 0.0
    assert whole_metrics["fgrpo/semantic_grounding/share"] == 0.0  # all rollouts have the same mean


def test_an_unmeasured_constraint_logs_no_score_and_stays():
    _, metrics = step_of(make(), {key: numbers(scored(row["task"])) for key, row in GOOD.items()})
    assert metrics["fgrpo/consistency/applicable"] == 0
    assert metrics["fgrpo/consistency/updated"] == 0.0
    assert metrics["fgrpo/consistency/next_multiplier"] == metrics["fgrpo/consistency/multiplier"] == 1.0
    absent_names = {f"fgrpo/consistency/{name}" for name in ("score", "violation", "zero_variance_groups")}
    assert not absent_names & set(metrics)


@pytest.mark.parametrize(("lost", "share", "updated"), [(1, 0.75, 1.0), (3, 0.5, 1.0), (4, 3 / 7, 0.0)])
def test_a_multiplier_moves_only_when_its_judge_measured_enough(caplog, lost, share, updated):
    unjudged = {f"p_{4 + row}_0": numbers(scored(1.0), absent(Reason.JUDGE_DEADLINE)) for row in range(lost)}
    _, metrics = step_of(make(), GOOD | unjudged)
    assert metrics["fgrpo/consistency/valid_share"] == pytest.approx(share)
    assert metrics["fgrpo/consistency/score"] == pytest.approx(2 / 3)
    assert metrics["fgrpo/consistency/updated"] == updated
    assert (metrics["fgrpo/consistency/next_multiplier"] == 1.0) == (updated == 0.0)
    assert metrics["fgrpo/spatial_grounding/updated"] == 1.0
    warned = "consistency is not being measured: the judge measured 43% of its rollouts, 50% needed"
    assert (warned in caplog.text) == (updated == 0.0)


def test_only_the_constraints_that_act_are_logged_as_constraints():
    _, metrics = step_of(make(constraint_keys=["consistency"]), GOOD)
    assert {name for name in metrics if name.endswith("/threshold")} == {"fgrpo/consistency/threshold"}
    assert metrics["fgrpo/signals/spatial_grounding/mean"] == 0.5  # measured all the same


def test_failures_up_to_the_allowed_share_are_left_out_with_a_warning(caplog):
    advantage, metrics = step_of(make(max_failed_share=0.2), {**GOOD, "pad_0_0": None}, expected=5)
    assert metrics["fgrpo/rollouts/missing"] == 1
    assert metrics["fgrpo/rollouts/failed_share"] == 0.2
    assert advantage.advantages[:4].any()
    assert not advantage.advantages[4].any()
    assert "1 of 5 rollouts failed (1 never came back, none unscored)" in caplog.text


def test_more_failures_stop_the_run_before_anything_moves():
    fgrpo = make(max_failed_share=0.49)
    rows = dict(list(GOOD.items())[:2]) | {"p_2_0": numbers(absent(Reason.REWARD_FAILED))}
    with pytest.raises(RolloutsFailedError, match=r"^step 1: 2 of 4 rollouts failed, more than fgrpo") as refused:
        begin(fgrpo, rows, expected=4)
    assert "max_failed_share=0.49 allows: 1 never came back (see the log above)" in str(refused.value)
    assert "not scored: {'reward_failed': 1}" in str(refused.value)
    assert fgrpo.controller.multipliers == {"consistency": 1.0, "spatial_grounding": 0.5}


def test_truncated_rollouts_are_no_failures():
    rows = {**GOOD, "p_3_0": numbers(absent(Reason.TRUNCATED))}
    assert step_of(make(max_failed_share=0.0), rows)[1]["fgrpo/rollouts/invalid/truncated"] == 1
