"""The reward manager verl's reward workers run: one rollout in, its task reward and every signal out.

It is asynchronous and streams: a rollout is scored while others are still being generated. A rollout whose scoring
fails is reported with the cause and without a score; the trainer leaves it out of every statistic.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import ray
from omegaconf import OmegaConf
from PIL.Image import Image
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase

from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.judges.boxes import pixel_boxes
from easyr1_fgrpo.judges.factory import build_judges
from easyr1_fgrpo.rewards import Reason, Sample, failed_numbers, score_rollout
from easyr1_fgrpo.rewards.custom_signal import load_signal, with_custom_signals
from easyr1_fgrpo.traces import TraceRecord, TraceWriter, save_images
from easyr1_fgrpo.training.sentence_tokens import SENTENCE_TOKENS, sentence_tokens

logger = logging.getLogger(__name__)


class FaithfulRewardManager(RewardManagerBase):
    """Scores one rollout with the rules and the judges of `fgrpo.*`, and writes its trace record."""

    def __init__(self, config: Any, tokenizer: Any, compute_score: Any = None, **unused: Any) -> None:
        super().__init__(config, tokenizer, compute_score)
        self.settings = FgrpoConfig.model_validate(OmegaConf.to_container(config.fgrpo, resolve=True))
        worker = (ray.get_runtime_context().get_actor_name() or "worker_0").rsplit("_", 1)[-1]
        self.judges = build_judges(self.settings, share=(int(worker), config.reward.num_workers))
        self.custom_signals = {name: load_signal(target) for name, target in self.settings.signals.items()}
        self.writers = {split: TraceWriter(Path(self.settings.run_dir), split, worker) for split in ("train", "val")}

    async def run_single(self, data: Any) -> dict[str, Any]:
        """Score the last output of one session.

        Returns:
            verl's `reward_score` (a placeholder 0 when `task_valid` is 0) and `reward_extra_info`, the same numeric
            keys on every rollout, and on training rollouts at the sentence level `SENTENCE_TOKENS`.
        """
        row = data[-1:][0]
        try:
            numbers = await self._score(row)
        except Exception:
            index = row.non_tensor_batch.get("index")
            logger.exception("scoring failed for dataset row %s; the rollout is left out of every statistic", index)
            numbers = {**failed_numbers(Reason.REWARD_FAILED, self.custom_signals)}
        return {"reward_score": numbers["task"] if numbers["task_valid"] else 0.0, "reward_extra_info": numbers}

    async def _score(self, row: Any) -> dict[str, Any]:
        fields = row.non_tensor_batch
        response_ids = row.batch["responses"][: int(fields["response_len"])].tolist()
        truncated = (
            len(response_ids) >= self.config.data.max_response_length
            and response_ids[-1] != self.tokenizer.eos_token_id
        )
        text = self.tokenizer.decode(response_ids, skip_special_tokens=True)
        images, saved = await asyncio.to_thread(self._read_and_save_images, list(fields["raw_prompt"]))
        sample = read_sample(fields, images)
        # Rewards and judges read pixels; the trace record keeps what the policy wrote beside them.
        thousandths = self.settings.images.coordinates == "thousand" and images
        scored = pixel_boxes(text, images[0].size) if thousandths else text
        reward = self.settings.reward if sample.split == "train" else self.settings.reward.for_validation()
        score = await score_rollout(sample, scored, self.judges, reward, truncated=truncated)
        score = with_custom_signals(score, sample, self.custom_signals)
        step, session = int(fields["global_steps"]), int(fields["session_id"])
        record = TraceRecord.from_score(sample, score, images=saved, response=text, step=step, session=session)
        self.writers["train" if sample.split == "train" else "val"].write(record)
        numbers: dict[str, Any] = {**score.to_numbers()}
        if self.settings.reward.level == "sentence" and sample.split == "train":
            numbers[SENTENCE_TOKENS] = await asyncio.to_thread(
                sentence_tokens, self.tokenizer, response_ids, text, score
            )
        return numbers

    def _read_and_save_images(self, messages: list[dict[str, Any]]) -> tuple[tuple[Image, ...], tuple[str, ...]]:
        images = read_images(messages, image_patch_size=self.config.data.image_patch_size)
        return images, save_images(images, self.settings.run_dir)


def read_images(messages: list[dict[str, Any]], *, image_patch_size: int) -> tuple[Image, ...]:
    """The images of a prompt at the size at which the policy sees them; the patch size is in pixels."""
    from qwen_vl_utils import process_vision_info  # type: ignore[import-not-found,import-untyped,unused-ignore]

    images, _ = process_vision_info(messages, image_patch_size=image_patch_size)
    return tuple(images or ())


def read_sample(fields: Any, images: tuple[Image, ...]) -> Sample:
    """A dataset row as the rewards read it, with its boxes brought from raw pixels to the policy's image size."""
    info = fields["extra_info"]
    boxes, choices = (() if info[key] is None else info[key] for key in ("boxes", "choices"))  # None: an empty list
    x, y = (images[0].width / info["width"], images[0].height / info["height"]) if images else (1.0, 1.0)
    return Sample(
        question=info["question"],
        choices=tuple(choices),
        ground_truth=fields["reward_model"]["ground_truth"],
        images=images,
        boxes=tuple((x1 * x, y1 * y, x2 * x, y2 * y) for x1, y1, x2, y2 in boxes),
        index=int(info["index"]),
        split=info["split"],
    )
