"""The reward manager that verl's reward workers run: it unpacks verl's rows and hands them to `RolloutScorer`.

It is asynchronous and streams: a rollout is scored while others are still being generated.
"""

from __future__ import annotations

import gc
from functools import partial
from typing import Any

import ray
from omegaconf import OmegaConf
from PIL.Image import Image
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase

from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.judges.factory import build_judges
from easyr1_fgrpo.training.rollout import Rollout, RolloutScorer


class FaithfulRewardManager(RewardManagerBase):
    """Scores rollouts with the rules and the judges of `fgrpo.*`."""

    def __init__(self, config: Any, tokenizer: Any, compute_score: Any = None, **unused: Any) -> None:
        super().__init__(config, tokenizer, compute_score)
        settings = FgrpoConfig.model_validate(OmegaConf.to_container(config.fgrpo, resolve=True))
        worker = (ray.get_runtime_context().get_actor_name() or "worker_0").rsplit("_", 1)[-1]
        self.scorer = RolloutScorer(
            settings,
            build_judges(settings, share=(int(worker), config.reward.num_workers)),
            tokenizer,
            max_response_length=config.data.max_response_length,
            worker=worker,
            workers=config.reward.num_workers,
        )
        # What was imported stays: each look through it held up the event loop for a quarter of a second.
        gc.collect()
        gc.freeze()

    async def run_single(self, data: Any) -> dict[str, Any]:
        """Score the last output of one session.

        Returns:
            verl's `reward_score` (a placeholder 0 when `task_valid` is 0) and the numbers as `reward_extra_info`.
        """
        row = data[-1:][0]
        fields = row.non_tensor_batch
        read = partial(read_images, list(fields["raw_prompt"]), image_patch_size=self.config.data.image_patch_size)
        rollout = Rollout(
            row=fields,
            images=read,
            response_ids=row.batch["responses"][: int(fields["response_len"])].tolist(),
            step=int(fields["global_steps"]),
            session=int(fields["session_id"]),
        )
        numbers = await self.scorer.score(rollout)
        return {"reward_score": numbers["task"] if numbers["task_valid"] else 0.0, "reward_extra_info": numbers}


def read_images(messages: list[dict[str, Any]], *, image_patch_size: int) -> tuple[Image, ...]:
    """The images of a prompt at the size at which the policy sees them; the patch size is in pixels."""
    from qwen_vl_utils import process_vision_info  # type: ignore[import-not-found,import-untyped,unused-ignore]

    images, _ = process_vision_info(messages, image_patch_size=image_patch_size)
    return tuple(images or ())
