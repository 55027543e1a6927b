import pytest
import torch
from reported import absent, numbers, scored
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.core_algos import get_adv_estimator_fn
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils.tensordict_utils import list_of_dict_to_tensordict

from easyr1_fgrpo.algorithm import constrained_advantage
from easyr1_fgrpo.rewards import SIGNALS, Reason
from easyr1_fgrpo.training.metrics_file import read_metrics
from easyr1_fgrpo.training.sentence_tokens import SENTENCE_TOKENS
from easyr1_fgrpo.training.step_signals import read_step
from easyr1_fgrpo.verl_plugin import trainer as trainer_module
from easyr1_fgrpo.verl_plugin.names import ESTIMATOR
from easyr1_fgrpo.verl_plugin.trainer import RolloutsFailedError, _row_order


def test_verls_trainer_reads_sync_and_polls_quickly(make):
    trainer = make()
    assert trainer.config.trainer.v1.trainer_mode == "sync"
    assert trainer.replay_buffer.poll_interval == 0.1


# ---------------------------------------------------------------------- repeatable rows


def test_row_order_is_numeric():
    keys = ["2-0_0_0", "1-10_0_0", "1-9_1_0", "1-9_0_1", "1-9_0_0", "1-9_10_0"]
    assert sorted(keys, key=_row_order) == ["1-9_0_0", "1-9_0_1", "1-9_1_0", "1-9_10_0", "1-10_0_0", "2-0_0_0"]


def test_ids_are_step_and_position(make, monkeypatch):
    monkeypatch.setattr(
        PPOTrainerSync, "_next_train_batch", lambda self, count: TensorDict({"x": torch.zeros(count)}, [count])
    )
    trainer = make()
    trainer.global_steps = 7
    assert list(trainer._next_train_batch(3)["uid"]) == ["7-0", "7-1", "7-2"]


def test_rows_are_in_the_datasets_order_before_they_are_balanced(make, monkeypatch):
    monkeypatch.setattr(PPOTrainerSync, "_balance_batch", lambda self, batch, metrics, **rest: (batch, rest))
    keys = ["1-1_0_0", "1-0_1_0", "1-10_0_0", "1-0_0_0"]
    batch = KVBatchMeta(keys=list(keys), tags=[{"of": key} for key in keys], partition_id="train")
    balanced, rest = make()._balance_batch(batch, {}, keep_minibatch=True)
    assert balanced.keys == ["1-0_0_0", "1-0_1_0", "1-1_0_0", "1-10_0_0"]
    assert [tag["of"] for tag in balanced.tags] == balanced.keys
    assert rest == {"keep_minibatch": True}


# ---------------------------------------------------------------------- a step

GOOD = {
    "1-0_0_0": numbers(scored(1.0), scored(1.0), scored(0.75)),
    "1-0_1_0": numbers(scored(0.5), scored(0.0), scored(0.25)),
    "1-0_2_0": numbers(scored(0.0)),
    "1-0_3_0": numbers(scored(1.0), scored(1.0)),
}
FOUND_TOO = {f"{name}{end}": 0.0 for name in ("format", "accuracy", "semantic_grounding") for end in ("", "_valid")}
MASK_BT = torch.ones(4, 2, dtype=torch.long)
LEVELS = ("outcome", "sentence")


@pytest.fixture
def step_of(monkeypatch):
    """Runs `_compute_advantage` on reported rows; the parent calls the estimator as verl does."""

    def estimate(self, batch, metrics):
        mask_BT = torch.ones(len(batch.keys), 2, dtype=torch.long)
        self.advantages, _ = get_adv_estimator_fn(ESTIMATOR)(torch.zeros(mask_BT.shape), mask_BT)
        return batch

    monkeypatch.setattr(PPOTrainerSync, "_compute_advantage", estimate)

    def run(trainer, rows):
        stored = {key: {} if row is None else {"reward_extra_info": FOUND_TOO | row} for key, row in rows.items()}

        def kv_batch_get(keys, partition_id, select_fields):
            assert (partition_id, select_fields) == ("train", ["extra_fields"])
            return list_of_dict_to_tensordict([{"extra_fields": stored[key]} for key in keys])

        monkeypatch.setattr(trainer_module.tq, "kv_batch_get", kv_batch_get)
        tags = [{"is_padding": True} if key.startswith("pad") else {} for key in rows]
        metrics = {}
        trainer._compute_advantage(KVBatchMeta(keys=list(rows), tags=tags, partition_id="train"), metrics)
        return metrics

    return run


def test_a_controllers_terms_are_logged(make, step_of):
    dual = {"controller": "pid", "lr": 0.1, "kp": 2.0, "min_applicable": 1}
    metrics = step_of(make(dual=dual), GOOD)
    violation = 0.95 - 2 / 3
    logged = {name: metrics[f"fgrpo/consistency/{name}"] for name in ("proportional", "integral", "derivative")}
    assert logged == pytest.approx({"proportional": 2 * violation, "integral": 1 + 0.1 * violation, "derivative": 0.0})


def test_advantages_use_the_multipliers_from_before_the_dual_step(make, step_of):
    trainer = make()
    metrics = step_of(trainer, GOOD)
    step = read_step(list(GOOD), [False] * 4, list(GOOD.values()), ["consistency", "spatial_grounding"])
    expected = constrained_advantage(
        step.task_B, step.scores, step.masks, {"consistency": 1.0, "spatial_grounding": 0.5}, step.groups_B, MASK_BT
    )
    assert torch.equal(trainer.advantages, expected.advantages)
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
    assert trainer.controller.multipliers["spatial_grounding"] == pytest.approx(0.515)
    assert metrics["fgrpo/rollouts/failed_share"] == 0.0


def test_the_sentence_level_reaches_the_advantage_and_not_the_dual_step(make, step_of):
    tokens = {"1-0_0_0": [(0, 1, 1.0), (1, 2, 0.0)], "1-0_1_0": [(1, 2, 1.0)]}
    grounded = {"semantic_grounding": 0.5, "semantic_grounding_valid": 1.0, "semantic_grounding_reason": 0.0}
    rows = {key: row | grounded | {SENTENCE_TOKENS: tokens.get(key, [])} for key, row in GOOD.items()}
    trainers = {level: make(constraint_keys=["semantic_grounding"], reward={"level": level}) for level in LEVELS}
    metrics = {level: step_of(trainer, rows) for level, trainer in trainers.items()}
    assert trainers["sentence"].advantages[0, 0] > trainers["sentence"].advantages[0, 1]
    assert trainers["outcome"].advantages[0, 0] == trainers["outcome"].advantages[0, 1]
    assert trainers["sentence"].controller.state_dict() == trainers["outcome"].controller.state_dict()
    assert metrics["sentence"]["fgrpo/semantic_grounding/share"] > 0.0
    assert metrics["outcome"]["fgrpo/semantic_grounding/share"] == 0.0  # all rollouts have the same mean


def test_an_unmeasured_constraint_logs_no_score_and_stays(make, step_of):
    trainer = make()
    metrics = step_of(trainer, {key: numbers(scored(row["task"])) for key, row in GOOD.items()})
    assert metrics["fgrpo/consistency/applicable"] == 0
    assert metrics["fgrpo/consistency/updated"] == 0.0
    assert metrics["fgrpo/consistency/next_multiplier"] == metrics["fgrpo/consistency/multiplier"] == 1.0
    absent_names = {f"fgrpo/consistency/{name}" for name in ("score", "violation", "zero_variance_groups")}
    assert not absent_names & set(metrics)


@pytest.mark.parametrize(("lost", "share", "updated"), [(1, 0.75, 1.0), (3, 0.5, 1.0), (4, 3 / 7, 0.0)])
def test_a_multiplier_moves_only_when_its_judge_measured_enough(make, step_of, caplog, lost, share, updated):
    trainer = make(rollouts=4 + lost)
    unjudged = {f"1-0_{4 + row}_0": numbers(scored(1.0), absent(Reason.JUDGE_DEADLINE)) for row in range(lost)}
    metrics = step_of(trainer, GOOD | unjudged)
    assert metrics["fgrpo/consistency/valid_share"] == pytest.approx(share)
    assert metrics["fgrpo/consistency/score"] == pytest.approx(2 / 3)
    assert metrics["fgrpo/consistency/updated"] == updated
    assert (metrics["fgrpo/consistency/next_multiplier"] == 1.0) == (updated == 0.0)
    assert metrics["fgrpo/spatial_grounding/updated"] == 1.0
    warned = "consistency is not being measured: the judge measured 43% of its rollouts, 50% needed"
    assert (warned in caplog.text) == (updated == 0.0)


def test_only_the_constraints_that_act_are_logged_as_constraints(make, step_of):
    metrics = step_of(make(constraint_keys=["consistency"]), GOOD)
    assert {name for name in metrics if name.endswith("/threshold")} == {"fgrpo/consistency/threshold"}
    assert metrics["fgrpo/signals/spatial_grounding/mean"] == 0.5  # measured all the same


def test_failures_up_to_the_allowed_share_are_left_out_with_a_warning(make, step_of, caplog):
    trainer = make(rollouts=5, max_failed_share=0.2)
    metrics = step_of(trainer, {**GOOD, "pad_0_0": None})
    assert metrics["fgrpo/rollouts/missing"] == 1
    assert metrics["fgrpo/rollouts/failed_share"] == 0.2
    assert trainer.advantages[:4].any()
    assert not trainer.advantages[4].any()
    assert "1 of 5 rollouts failed (1 never came back, none unscored)" in caplog.text


def test_more_failures_stop_the_run_before_anything_moves(make, step_of):
    trainer = make(max_failed_share=0.49)
    rows = dict(list(GOOD.items())[:2]) | {"1-0_2_0": numbers(absent(Reason.REWARD_FAILED))}
    with pytest.raises(RolloutsFailedError, match=r"^step 1: 2 of 4 rollouts failed, more than fgrpo") as refused:
        step_of(trainer, rows)
    assert "max_failed_share=0.49 allows: 1 never came back" in str(refused.value)
    assert "not scored: {'reward_failed': 1}" in str(refused.value)
    assert trainer.controller.multipliers == {"consistency": 1.0, "spatial_grounding": 0.5}
    assert not hasattr(trainer, "advantages")


def test_truncated_rollouts_are_no_failures(make, step_of):
    trainer = make(max_failed_share=0.0)
    rows = {**GOOD, "1-0_3_0": numbers(absent(Reason.TRUNCATED))}
    assert step_of(trainer, rows)["fgrpo/rollouts/invalid/truncated"] == 1


# ---------------------------------------------------------------------- what is logged


def test_every_step_is_written(make, monkeypatch):
    monkeypatch.setattr(PPOTrainerSync, "_compute_metrics", lambda self, batch, metrics, timing: metrics.update(b=2.0))
    trainer = make()
    trainer.global_steps = 9
    trainer._compute_metrics(None, {"a": 1.0}, {})
    assert read_metrics(trainer.metrics_file.path) == {9: {"a": 1.0, "b": 2.0}}


def test_validation_before_the_first_step_is_written_and_replaces_no_steps_record(make, monkeypatch):
    monkeypatch.setattr(PPOTrainerSync, "_validate", lambda self: {"val": 0.5})
    trainer = make()
    trainer.global_steps = 0
    assert trainer._validate() == {"val": 0.5}
    trainer.metrics_file.write(10, {"a": 1.0})
    trainer.global_steps = 10  # also before the first step of a run that resumes after step 10
    assert trainer._validate() == {"val": 0.5}
    assert read_metrics(trainer.metrics_file.path) == {0: {"val": 0.5}, 10: {"a": 1.0}}


def test_validation_means_are_over_what_was_measured(make, monkeypatch):
    seen = {}

    def verls(self, sources, uids, numbers, turns):
        seen.update(numbers)
        return {"val-core/x/acc/mean@1": 0.5}

    monkeypatch.setattr(PPOTrainerSync, "_val_metrics_update", verls)
    nan = float("nan")
    reported = {"reward": [1.0, 0.0, 0.5], "acc": [1.0, 0.0, 1.0]}
    for name in SIGNALS:
        reported |= {name: [nan] * 3, f"{name}_reason": [float(Reason.NO_CLAIM)] * 3}
    # the wrong rollout in the middle was judged too and counts: validation asks about all
    reported |= {"consistency": [1.0, 0.0, nan], "consistency_reason": [0.0, 0.0, float(Reason.JUDGE_DEADLINE)]}
    metrics = make()._val_metrics_update(["x"] * 3, ["a", "b", "c"], reported, [])
    assert seen == {"reward": [1.0, 0.0, 0.5], "acc": [1.0, 0.0, 1.0]}
    unmeasured = {f"fgrpo/val/{name}/measured": 0 for name in SIGNALS if name != "consistency"}
    assert metrics == {
        "val-core/x/acc/mean@1": 0.5,
        "fgrpo/val/consistency/measured": 2,
        "fgrpo/val/consistency/mean": 0.5,
        **unmeasured,
    }
