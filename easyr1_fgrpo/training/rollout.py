"""Scoring one rollout for a trainer: from a dataset row, images and a response to signals, a trace record and numbers.

Rollouts are scored one by one, so a host can score some while others are still being generated. A rollout whose scoring
fails is reported with the cause and without a score, and is left out of every statistic.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL.Image import Image

from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.judges.boxes import pixel_boxes
from easyr1_fgrpo.judges.protocol import Judge, Question
from easyr1_fgrpo.rewards import Reason, Sample, failed_numbers, score_rollout
from easyr1_fgrpo.rewards.custom_signal import load_signal, with_custom_signals
from easyr1_fgrpo.rewards.task import with_weighted_sum
from easyr1_fgrpo.traces import TraceRecord, TraceWriter, save_images
from easyr1_fgrpo.training.admission import Admission, rollouts_at_once
from easyr1_fgrpo.training.judge_metrics import CAUSES, failure_causes
from easyr1_fgrpo.training.sentence_tokens import SENTENCE_TOKENS, sentence_tokens

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rollout:
    """One response to one dataset row, as a trainer hands it over.

    Attributes:
        row: the dataset row (`easyr1_fgrpo.rows`), of which `extra_info` and `reward_model` are read.
        images: gives the row's images at the size at which the policy saw them; called in a thread.
        response_ids: tokens of the response, the end token included where it was written.
        step: of the training, 0 before the first.
        session: number of the rollout within its group.
    """

    row: Mapping[str, Any]
    images: Callable[[], tuple[Image, ...]]
    response_ids: Sequence[int]
    step: int
    session: int


class RolloutScorer:
    """Scores rollouts with the rules and judges of `fgrpo.*`; one per process, as its trace files are its own.

    Args:
        settings: the key `fgrpo` of the config.
        judges: who answers which question.
        tokenizer: the policy's.
        max_response_length: in tokens.
        worker: names this process's trace files, `traces/<split>-<worker>.jsonl`.
        workers: how many processes score.
    """

    def __init__(
        self,
        settings: FgrpoConfig,
        judges: Mapping[Question, Judge],
        tokenizer: Any,
        *,
        max_response_length: int,
        worker: str = "0",
        workers: int = 1,
    ) -> None:
        self.settings = settings
        self._admission = Admission(judges, rollouts_at_once(settings, workers))
        self._tokenizer = tokenizer
        self._max_response_length = max_response_length
        self._custom_signals = {name: load_signal(target) for name, target in settings.signals.items()}
        self._writers = {split: TraceWriter(settings.run_dir, split, worker) for split in ("train", "val")}

    async def score(self, rollout: Rollout) -> dict[str, Any]:
        """The numbers of a rollout, after its trace record is written.

        Returns:
            `RolloutScore.to_numbers` and the texts of `CAUSES`, the same keys for every rollout; on training rollouts
            at the sentence level also `SENTENCE_TOKENS`. `task_valid` is 0 where there is no task reward.
        """
        try:
            async with self._admission.turn() as judges:
                return await self._score(rollout, judges)
        except Exception:
            index = rollout.row.get("extra_info", {}).get("index")
            logger.exception("scoring failed for dataset row %s; the rollout is left out of every statistic", index)
            return {
                **failed_numbers(Reason.REWARD_FAILED, self._custom_signals),
                **dict.fromkeys(CAUSES.values(), ""),
            }

    async def _score(self, rollout: Rollout, judges: Mapping[Question, Judge]) -> dict[str, Any]:
        text = self._tokenizer.decode(rollout.response_ids, skip_special_tokens=True)
        images, saved = await asyncio.to_thread(self._read_and_save_images, rollout.images)
        sample = sample_of(rollout.row, images)
        training = sample.split == "train"
        score = await score_rollout(
            sample,
            self._in_pixels(text, images),
            judges,
            self.settings.reward if training else self.settings.reward.for_validation(),
            truncated=self._is_truncated(rollout.response_ids),
        )
        score = with_custom_signals(score, sample, self._custom_signals)
        score = with_weighted_sum(score, self.settings.reward.weights)
        record = TraceRecord.from_score(
            sample, score, images=saved, response=text, step=rollout.step, session=rollout.session
        )
        self._writers["train" if training else "val"].write(record)
        numbers: dict[str, Any] = {**score.to_numbers(), **failure_causes(score)}
        if self.settings.reward.level == "sentence" and training:
            numbers[SENTENCE_TOKENS] = await asyncio.to_thread(
                sentence_tokens, self._tokenizer, rollout.response_ids, text, score
            )
        return numbers

    def _read_and_save_images(self, read: Callable[[], tuple[Image, ...]]) -> tuple[tuple[Image, ...], tuple[str, ...]]:
        images = read()
        return images, save_images(images, self.settings.run_dir)

    def _in_pixels(self, text: str, images: tuple[Image, ...]) -> str:
        """What rewards and judges read; the trace record has what the policy wrote."""
        in_thousandths = self.settings.images.coordinates == "thousand"
        return pixel_boxes(text, images[0].size) if in_thousandths and images else text

    def _is_truncated(self, response_ids: Sequence[int]) -> bool:
        return len(response_ids) >= self._max_response_length and response_ids[-1] != self._tokenizer.eos_token_id


def sample_of(row: Mapping[str, Any], images: tuple[Image, ...]) -> Sample:
    """A dataset row as the rewards read it, with its boxes brought from raw pixels to the policy's image size."""
    info = row["extra_info"]
    boxes, choices = (() if info[key] is None else info[key] for key in ("boxes", "choices"))  # None: an empty list
    x, y = (images[0].width / info["width"], images[0].height / info["height"]) if images else (1.0, 1.0)
    return Sample(
        question=info["question"],
        choices=tuple(choices),
        ground_truth=row["reward_model"]["ground_truth"],
        images=images,
        boxes=tuple((x1 * x, y1 * y, x2 * x, y2 * y) for x1, y1, x2, y2 in boxes),
        index=int(info["index"]),
        split=info["split"],
    )
