"""The same rollouts through both hosts: the same signals, the same advantages, the same multipliers."""

import asyncio
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from omegaconf import OmegaConf
from transfer_queue import KVBatchMeta
from verl import DataProto
from verl.trainer.ppo.core_algos import get_adv_estimator_fn
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils.tensordict_utils import list_of_dict_to_tensordict

from easyr1.runs import PROMPTS, RESPONSES
from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.generation.processor import content_parts, load_processor
from easyr1_fgrpo.host import ESTIMATOR
from easyr1_fgrpo.judges.factory import build_judges
from easyr1_fgrpo.training.rollout import RolloutScorer
from easyr1_fgrpo.training.step import Fgrpo
from easyr1_fgrpo.verl_plugin import trainer as trainer_module
from easyr1_fgrpo.verl_plugin.dataset import encoded, within_budget
from easyr1_fgrpo.verl_plugin.reward_manager import FaithfulRewardManager
from easyr1_fgrpo.verl_plugin.trainer import FaithfulTrainer

pytestmark = pytest.mark.easyr1


@pytest.fixture
def settings(host, whole, tmp_path):
    """The run's own, for another folder."""
    found = yaml.safe_load((host.folder / whole / "config.yaml").read_text())["fgrpo"]
    return FgrpoConfig.model_validate({**found, "run_dir": str(tmp_path / "verl")})


@pytest.fixture
def rollouts(host, whole):
    """Of the first step, as EasyR1 handed them over: row, session, tokens."""
    noted = torch.load(host.folder / "notes/rollouts-1.pt")
    found = list(zip(noted["rows"], noted["sessions"], noted["responses"], strict=True))
    assert len(found) == PROMPTS * RESPONSES
    assert len({(row, session) for row, session, _ in found}) == len(found)
    return found


def scored_by_verls_manager(settings, tiny, rollouts):
    """What verl's reward manager makes of them, in their order."""
    manager = object.__new__(FaithfulRewardManager)  # its __init__ needs a running Ray
    manager.config = SimpleNamespace(data=SimpleNamespace(image_patch_size=14))
    tokenizer = load_processor(str(tiny / "model")).tokenizer
    manager.scorer = RolloutScorer(settings, build_judges(settings), tokenizer, max_response_length=56)
    rows = {row["extra_info"]["index"]: row for row in pq.read_table(tiny / "train.parquet").to_pylist()}

    async def score(index, session, ids):
        row = encoded(within_budget(rows[index], "images", settings.images), "images")
        parts = content_parts(row["prompt"][0]["content"])
        (image,) = row["images"]
        prompt = [
            {"role": "user", "content": [{**part, **image} if part["type"] == "image" else part for part in parts]}
        ]
        fields = {
            "response_len": len(ids),
            "raw_prompt": prompt,
            "extra_info": row["extra_info"],
            "reward_model": row["reward_model"],
            "global_steps": 1,
            "session_id": session,
        }
        columns = {name: np.empty(1, dtype=object) for name in fields}
        for name, value in fields.items():
            columns[name][0] = value
        data = DataProto.from_dict(tensors={"responses": torch.tensor([ids])}, non_tensors=columns)
        return (await manager.run_single(data))["reward_extra_info"]

    async def all_of_them():
        return [await score(*rollout) for rollout in rollouts]

    return asyncio.run(all_of_them())


def step_of_verls_trainer(settings, rollouts, numbers, monkeypatch):
    """Metrics and advantages of verl's trainer for the batch."""
    trainer = object.__new__(FaithfulTrainer)  # its __init__ starts Ray
    trainer.config = OmegaConf.create(
        {"data": {"train_batch_size": PROMPTS}, "actor_rollout_ref": {"rollout": {"n": RESPONSES}}}
    )
    trainer.fgrpo, trainer.global_steps = Fgrpo(settings), 1
    mask_BT = torch.zeros(len(rollouts), 56, dtype=torch.long)
    for row, (_, _, ids) in enumerate(rollouts):
        mask_BT[row, : len(ids)] = 1
    found = {}

    def estimate(self, batch, metrics):
        found["advantages"], _ = get_adv_estimator_fn(ESTIMATOR)(torch.zeros(mask_BT.shape), mask_BT)
        return batch

    keys = [f"run-1-{index}_{session}_0" for index, session, _ in rollouts]
    stored = dict(zip(keys, numbers, strict=True))
    monkeypatch.setattr(PPOTrainerSync, "_compute_advantage", estimate)
    monkeypatch.setattr(
        trainer_module.tq,
        "kv_batch_get",
        lambda keys, partition_id, select_fields: list_of_dict_to_tensordict(
            [{"extra_fields": {"reward_extra_info": stored[key]}} for key in keys]
        ),
    )
    metrics = {}
    trainer._compute_advantage(KVBatchMeta(keys=keys, tags=[{} for _ in keys], partition_id="train"), metrics)
    return metrics, found["advantages"]


def test_the_first_step_is_that_of_the_verl_host(host, whole, tiny, settings, rollouts, monkeypatch):
    numbers = scored_by_verls_manager(settings, tiny, rollouts)
    metrics, advantages_BT = step_of_verls_trainer(settings, rollouts, numbers, monkeypatch)
    on_easyr1 = host.metrics(whole)[1]
    waits = "wait_s"
    ours = {name: value for name, value in metrics.items() if waits not in name}
    assert len(ours) > 50
    assert {name: value for name, value in on_easyr1.items() if name.startswith("fgrpo/") and waits not in name} == ours
    theirs_BT = torch.load(host.folder / "notes/advantages-0.pt")
    assert theirs_BT.abs().max() > 0.5
    assert torch.equal(theirs_BT, advantages_BT)
