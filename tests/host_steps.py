"""Both hosts' adapters without their loops: what verl and EasyR1 hand over for the same rollouts, and what they get.

EasyR1 and upstream's verl are both imported as `verl`; what our trainer for EasyR1 imports of it is stood in for here.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from transfer_queue import KVBatchMeta
from verl import DataProto
from verl.trainer.ppo.core_algos import get_adv_estimator_fn
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils.tensordict_utils import list_of_dict_to_tensordict

from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.easyr1_plugin.rewards import SESSION, FaithfulRewards
from easyr1_fgrpo.easyr1_plugin.rows import ROW
from easyr1_fgrpo.host import ESTIMATOR
from easyr1_fgrpo.rewards import SIGNALS
from easyr1_fgrpo.training.rollout import Rollout, RolloutScorer
from easyr1_fgrpo.training.step import Fgrpo
from easyr1_fgrpo.verl_plugin import trainer as trainer_module
from easyr1_fgrpo.verl_plugin.reward_manager import FaithfulRewardManager

Step = tuple[dict[str, Any], torch.Tensor, Fgrpo]
"""Metrics, advantages (B, T), and FGRPO's state after the step."""


def verls_step(
    settings: FgrpoConfig,
    ids: Sequence[tuple[str, int]],
    numbers: Sequence[Mapping[str, Any] | None],
    mask_BT: torch.Tensor,
    *,
    prompts: int,
    n: int,
) -> Step:
    """A step of our trainer for verl.

    Args:
        settings: the key `fgrpo`.
        ids: group and number within it of each row.
        numbers: what the reward workers gave for each.
        mask_BT: 1 on response tokens.
        prompts, n: of the config.
    """
    trainer = object.__new__(trainer_module.FaithfulTrainer)  # its __init__ starts Ray
    trainer.config = OmegaConf.create(
        {"data": {"train_batch_size": prompts}, "actor_rollout_ref": {"rollout": {"n": n}}}
    )
    trainer.fgrpo, trainer.global_steps = Fgrpo(settings), 1
    found: dict[str, Any] = {}

    def estimate(self: Any, batch: Any, metrics: dict[str, Any]) -> Any:
        rewards_BT = torch.zeros(mask_BT.shape)
        found["advantages"], _ = get_adv_estimator_fn(ESTIMATOR)(
            token_level_rewards=rewards_BT, response_mask=mask_BT, config=None, index=None
        )
        return batch

    keys = [f"{group}_{number}_0" for group, number in ids]
    stored = dict(zip(keys, numbers, strict=True))

    def kv_batch_get(keys: Sequence[str], partition_id: str, select_fields: Sequence[str]) -> Any:
        rows = [{} if stored[key] is None else {"reward_extra_info": stored[key]} for key in keys]
        return list_of_dict_to_tensordict([{"extra_fields": row} for row in rows])

    metrics: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PPOTrainerSync, "_compute_advantage", estimate)
        patch.setattr(trainer_module.tq, "kv_batch_get", kv_batch_get)
        trainer._compute_advantage(KVBatchMeta(keys=keys, tags=[{} for _ in keys], partition_id="train"), metrics)
    return metrics, found["advantages"], trainer.fgrpo


def easyr1s_step(
    settings: FgrpoConfig,
    ids: Sequence[tuple[str, int]],
    numbers: Sequence[Mapping[str, Any] | None],
    mask_BT: torch.Tensor,
    *,
    prompts: int,
    n: int,
) -> Step:
    """A step of our trainer for EasyR1, whose rows come in the order of their groups; arguments as in `verls_step`."""
    with easyr1_stood_in() as estimators:
        module = importlib.import_module("easyr1_fgrpo.easyr1_plugin.trainer")
        trainer = object.__new__(module.FaithfulTrainer)  # its __init__ wants models
        trainer.config = OmegaConf.create({"data": {"rollout_batch_size": prompts}, "worker": {"rollout": {"n": n}}})
        trainer.fgrpo, trainer.global_step, trainer._steps_begun = Fgrpo(settings), 1, 0
        given = dict(zip(ids, numbers, strict=True))
        batch = SimpleNamespace(non_tensor_batch={"uid": np.array([group for group, _ in ids], dtype=object)})

        def taken() -> list[Mapping[str, Any] | None]:
            columns = batch.non_tensor_batch
            return [given[row] for row in zip(columns["uid"], columns["session"], strict=True)]

        trainer.reward_fn = SimpleNamespace(begin=_remote(lambda step: None), take=_remote(taken))
        vars(module)["ray"] = SimpleNamespace(get=lambda value: value)
        metrics: dict[str, Any] = {}
        trainer._balance_batch(batch, metrics)
        with module.handed_over(trainer._advantage):
            advantages_BT, _ = estimators[ESTIMATOR](
                token_level_rewards=torch.zeros(mask_BT.shape),
                response_mask=mask_BT.flip(0),  # the stand-in deals rows out from the last to the first
                index=None,
                gamma=1.0,
                lam=1.0,
            )
    return metrics, advantages_BT.flip(0), trainer.fgrpo


def _remote(function: Any) -> Any:
    """What an actor's handle has in a method's place."""
    return SimpleNamespace(remote=function)


def verls_numbers(scorer: RolloutScorer, rollouts: Sequence[Rollout]) -> list[dict[str, Any]]:
    """What our reward manager for verl gives for each rollout."""
    manager = object.__new__(FaithfulRewardManager)  # its __init__ needs a running Ray
    manager.config, manager.scorer = SimpleNamespace(data=SimpleNamespace(image_patch_size=14)), scorer

    async def score(rollout: Rollout) -> dict[str, Any]:
        images = (image if isinstance(image, dict) else {"image": image} for image in rollout.images())
        parts = [{"type": "image", **image} for image in images]
        fields = {
            "response_len": len(rollout.response_ids),
            "raw_prompt": [{"role": "user", "content": parts}],
            **rollout.row,
            "global_steps": rollout.step,
            "session_id": rollout.session,
        }
        columns = {name: np.empty(1, dtype=object) for name in fields}
        for name, value in fields.items():
            columns[name][0] = value
        tensors = {"responses": torch.tensor([list(rollout.response_ids)])}
        found = await manager.run_single(DataProto.from_dict(tensors=tensors, non_tensors=columns))
        return dict(found["reward_extra_info"])

    async def all_of_them() -> list[dict[str, Any]]:
        return [await score(rollout) for rollout in rollouts]

    return asyncio.run(all_of_them())


def easyr1s_numbers(scorer: RolloutScorer, rollouts: Sequence[Rollout]) -> list[dict[str, Any]]:
    """What our reward actor for EasyR1 gives for each rollout of a batch."""
    rewards = object.__new__(FaithfulRewards)  # its __init__ builds judges
    rewards.signal_names, rewards.scorer = (*SIGNALS, *scorer.settings.signals), scorer
    rewards._see = tuple
    width = max(len(rollout.response_ids) for rollout in rollouts) + 3
    responses_BT = torch.zeros(len(rollouts), width, dtype=torch.long)
    mask_BT = torch.zeros_like(responses_BT)
    columns = {name: np.empty(len(rollouts), dtype=object) for name in (ROW, SESSION, "multi_modal_data")}
    for row, rollout in enumerate(rollouts):
        responses_BT[row, : len(rollout.response_ids)] = torch.tensor(list(rollout.response_ids))
        mask_BT[row, : len(rollout.response_ids)] = 1
        columns[ROW][row], columns[SESSION][row] = rollout.row, rollout.session
        columns["multi_modal_data"][row] = {"images": list(rollout.images())}
    batch = SimpleNamespace(batch={"responses": responses_BT, "response_mask": mask_BT}, non_tensor_batch=columns)

    async def scored() -> list[dict[str, Any]]:
        await rewards.begin(rollouts[0].step)
        await rewards.compute_reward(batch)
        return await rewards.take()

    return asyncio.run(scored())


@contextmanager
def easyr1_stood_in() -> Iterator[dict[str, Any]]:
    """What our trainer imports of EasyR1 stood in for, and forgotten afterwards; gives the estimators by name."""
    estimators: dict[str, Any] = {}

    def register(name: str) -> Any:
        return lambda function: estimators.setdefault(name, function)

    class RayPPOTrainer:
        def _balance_batch(self, batch: Any, metrics: dict[str, Any]) -> None:
            """EasyR1 deals out rows anew."""
            for name, column in batch.non_tensor_batch.items():
                batch.non_tensor_batch[name] = column[::-1].copy()

    parts = {
        "verl.trainer.core_algos": {"register_adv_estimator": register},
        "verl.trainer.ray_trainer": {"RayPPOTrainer": RayPPOTrainer},
        "verl.utils.checkpoint": {"remove_obsolete_ckpt": None},
    }
    ours = ("easyr1_fgrpo.easyr1_plugin.trainer", "easyr1_fgrpo.easyr1_plugin.estimator")
    with pytest.MonkeyPatch.context() as patch:
        for name in ours:
            patch.delitem(sys.modules, name, raising=False)
        for name, content in parts.items():
            module = ModuleType(name)
            vars(module).update(content)
            patch.setitem(sys.modules, name, module)
        yield estimators
        for name in ours:
            sys.modules.pop(name, None)
            parent, _, last = name.rpartition(".")
            vars(sys.modules[parent]).pop(last, None)
