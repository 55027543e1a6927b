from pathlib import Path

import pytest
import torch
from reported import absent, numbers, scored
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.core_algos import get_adv_estimator_fn
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils.tensordict_utils import list_of_dict_to_tensordict

from easyr1_fgrpo.host import ESTIMATOR
from easyr1_fgrpo.metrics_file import read_metrics
from easyr1_fgrpo.rewards import Reason
from easyr1_fgrpo.training.canary import RolloutsDifferError
from easyr1_fgrpo.training.step import RolloutsFailedError
from easyr1_fgrpo.training.step_signals import RolloutId
from easyr1_fgrpo.training.unmeasured import ConstraintUnmeasuredError
from easyr1_fgrpo.verl_plugin import trainer as trainer_module
from easyr1_fgrpo.verl_plugin.trainer import _row_order, rollout_id, split_key


def test_verls_trainer_reads_sync_and_polls_quickly(make):
    trainer = make()
    assert trainer.config.trainer.v1.trainer_mode == "sync"
    assert trainer.replay_buffer.poll_interval == 0.1


# ---------------------------------------------------------------------- verl's rows


def test_key_parts():
    assert split_key("7-12_3_0") == ("7-12", 3, 0)
    assert split_key("a_b_3_1") == ("a_b", 3, 1)


def test_rows_that_fill_a_batch_up_are_nobodys():
    assert rollout_id("7-12_3_1", {}) == RolloutId("7-12", 3, 1)
    assert rollout_id("7-12_3_1", {"is_padding": False}) == RolloutId("7-12", 3, 1)
    assert rollout_id("whatever", {"is_padding": True}) is None


def test_row_order_is_numeric():
    keys = ["a-b-2-0_0_0", "a-b-1-10_0_0", "a-b-1-9_1_0", "a-b-1-9_0_1", "a-b-1-9_0_0", "a-b-1-9_10_0"]
    found = [key.removeprefix("a-b-") for key in sorted(keys, key=_row_order)]
    assert found == ["1-9_0_0", "1-9_0_1", "1-9_1_0", "1-9_10_0", "1-10_0_0", "2-0_0_0"]


def test_ids_are_run_step_and_position(make, monkeypatch):
    """Without an underscore: verl takes what stands before a key's first one for the prompt's id."""
    monkeypatch.setattr(
        PPOTrainerSync, "_next_train_batch", lambda self, count: TensorDict({"x": torch.zeros(count)}, [count])
    )
    trainer = make()
    trainer.global_steps = 7
    trainer.run_dir = trainer.run_dir / "fgrpo_tiny-s0"
    uids = ["fgrpo-tiny-s0-7-0", "fgrpo-tiny-s0-7-1", "fgrpo-tiny-s0-7-2"]
    assert list(trainer._next_train_batch(3)["uid"]) == uids
    assert [split_key(f"{uid}_3_0")[0] for uid in uids] == uids


def test_rows_are_in_the_datasets_order_before_they_are_balanced(make, monkeypatch):
    monkeypatch.setattr(PPOTrainerSync, "_balance_batch", lambda self, batch, metrics, **rest: (batch, rest))
    keys = ["r-1-1_0_0", "r-1-0_1_0", "r-1-10_0_0", "r-1-0_0_0"]
    batch = KVBatchMeta(keys=list(keys), tags=[{"of": key} for key in keys], partition_id="train")
    balanced, rest = make()._balance_batch(batch, {}, keep_minibatch=True)
    assert balanced.keys == ["r-1-0_0_0", "r-1-0_1_0", "r-1-1_0_0", "r-1-10_0_0"]
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


@pytest.fixture
def step_of(monkeypatch):
    """Runs `_compute_advantage` on reported rows; the parent calls the estimator as verl does."""

    def estimate(self, batch, metrics):
        mask_BT = torch.ones(len(batch.keys), 2, dtype=torch.long)
        self.advantages, _ = get_adv_estimator_fn(ESTIMATOR)(
            token_level_rewards=torch.zeros(mask_BT.shape), response_mask=mask_BT
        )
        metrics["verl"] = 1.0
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


def test_a_step_hands_its_advantages_to_verl_and_moves_the_multipliers(make, step_of):
    trainer, alone = make(rollouts=5), make(rollouts=5)
    metrics = step_of(trainer, {**GOOD, "pad_0_0": None})
    ids = [RolloutId("1-0", session) for session in range(4)]
    step = alone.fgrpo.begin_step(1, [*ids, None], [*(FOUND_TOO | row for row in GOOD.values()), None], expected=5)
    expected = alone.fgrpo.advantage(step, torch.ones(5, 2, dtype=torch.long))
    assert torch.equal(trainer.advantages, expected.advantages)
    assert metrics == {"verl": 1.0, **alone.fgrpo.end_step(step, expected)}
    assert metrics["fgrpo/rollouts/missing"] == 1
    assert trainer.fgrpo.controller.multipliers == alone.fgrpo.controller.multipliers
    assert trainer.fgrpo.controller.multipliers != make().fgrpo.controller.multipliers


def test_a_step_with_too_many_failures_ends_before_verl_computes(make, step_of):
    trainer = make(max_failed_share=0.1)
    with pytest.raises(RolloutsFailedError, match=r"^step 1: 2 of 4 .* never came back \(see 'Error in _run_prompt'"):
        step_of(trainer, dict(list(GOOD.items())[:2]))
    assert not hasattr(trainer, "advantages")


def test_a_step_whose_rollouts_saw_no_pictures_ends_before_it_trains(make, monkeypatch):
    seen = {"training/rollout_probs_diff_mean": 1e-5, "training/rollout_probs_diff_max": 0.9995}
    monkeypatch.setattr(PPOTrainerSync, "_compute_old_log_prob", lambda self, batch, metrics: metrics.update(seen))
    trainer = make()
    trainer._compute_old_log_prob(None, {})
    seen["training/rollout_probs_diff_mean"] = 0.155
    with pytest.raises(RolloutsDifferError, match=r"^step 1: .* by 0\.155 in the mean \(at most 0\.9995\)"):
        trainer._compute_old_log_prob(None, {})
    make(max_probs_difference=None)._compute_old_log_prob(None, {})


@pytest.mark.parametrize("verl_saves", [False, True])
def test_a_run_whose_judge_is_gone_saves_once_and_then_ends(make, step_of, monkeypatch, verl_saves):
    trainer = make(max_unmeasured_steps=2)
    folder = Path(trainer.config.trainer.default_local_dir)
    saved = []

    def save(self):
        saved.append(self.global_steps)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "latest_checkpointed_iteration.txt").write_text(str(self.global_steps))

    monkeypatch.setattr(PPOTrainerSync, "_save_checkpoint", save)
    monkeypatch.setattr(PPOTrainerSync, "on_step_end", lambda self: None)
    monkeypatch.setattr(PPOTrainerSync, "_compute_metrics", lambda self, batch, metrics, timing: None)
    lost = {key: numbers(scored(1.0), absent(Reason.JUDGE_DEADLINE)) for key in GOOD}
    for rows in (GOOD, lost):
        metrics = step_of(trainer, rows)
        trainer.on_step_end()
        trainer._compute_metrics(None, metrics, {})
        trainer.global_steps += 1
    assert saved == []
    metrics = step_of(trainer, lost)
    if verl_saves:
        trainer._save_checkpoint()
    trainer.on_step_end()
    with pytest.raises(ConstraintUnmeasuredError, match=r"^step 3: consistency .* goes on from the last checkpoint$"):
        trainer._compute_metrics(None, metrics, {})
    assert trainer._validate() == {}  # nobody would judge it
    assert saved == [3]
    assert (folder / "global_step_3" / "fgrpo.json").exists()
    assert 3 in read_metrics(trainer.run_dir / "metrics.jsonl")


# ---------------------------------------------------------------------- what is logged


def test_every_step_is_written(make, monkeypatch):
    monkeypatch.setattr(PPOTrainerSync, "_compute_metrics", lambda self, batch, metrics, timing: metrics.update(b=2.0))
    trainer = make()
    trainer.global_steps = 9
    trainer._compute_metrics(None, {"a": 1.0}, {})
    assert read_metrics(trainer.run_dir / "metrics.jsonl") == {9: {"a": 1.0, "b": 2.0}}


def test_validation_before_the_first_step_is_written_and_replaces_no_steps_record(make, monkeypatch):
    monkeypatch.setattr(PPOTrainerSync, "_validate", lambda self: {"val": 0.5})
    trainer = make()
    trainer.global_steps = 0
    assert trainer._validate() == {"val": 0.5}
    trainer.metrics_file.write(10, {"a": 1.0})
    trainer.global_steps = 10  # also before the first step of a run that resumes after step 10
    assert trainer._validate() == {"val": 0.5}
    assert read_metrics(trainer.run_dir / "metrics.jsonl") == {0: {"val": 0.5}, 10: {"a": 1.0}}


def test_verl_averages_its_own_numbers_and_the_signals_get_their_means(make, monkeypatch):
    seen = {}

    def verls(self, sources, uids, numbers, turns):
        seen.update(numbers)
        return {"val-core/x/acc/mean@1": 0.5}

    monkeypatch.setattr(PPOTrainerSync, "_val_metrics_update", verls)
    own = {"reward": [1.0, 0.0], "acc": [1.0, 0.0]}
    reported = own | {"consistency": [1.0, 0.0], "consistency_reason": [0.0, 0.0]}
    metrics = make()._val_metrics_update(["x"] * 2, ["a", "b"], reported, [])
    assert seen == own
    assert metrics["val-core/x/acc/mean@1"] == metrics["fgrpo/val/consistency/mean"] == 0.5
