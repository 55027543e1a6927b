"""The Ray actor in the place of EasyR1's reward manager: it scores whole batches and keeps every rollout's numbers.

EasyR1 takes a reward tensor and averages from it; the trainer fetches the numbers, in the batch's order, by `take`. One
actor serves training and validation, so that each trace file has one writer.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor

from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.easyr1_plugin.rows import ROW
from easyr1_fgrpo.generation.processor import as_seen
from easyr1_fgrpo.judges.factory import build_judges
from easyr1_fgrpo.rewards import SIGNALS
from easyr1_fgrpo.training.rollout import Rollout, RolloutScorer

SESSION = "session"
"""The column that says which rollout of its group a row of a training batch is."""

OVERALL = "overall"
"""EasyR1's name for the reward that it trains on."""


class FaithfulRewards:
    """Scores rollouts with the rules and the judges of `fgrpo.*`.

    Args:
        settings: the key `fgrpo` of the config.
        tokenizer, processor: the policy's, as EasyR1 loads them.
        pixels: `data.min_pixels` and `data.max_pixels`.
        max_response_length: in tokens.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        tokenizer: Any,
        processor: Any,
        *,
        pixels: tuple[int | None, int | None],
        max_response_length: int,
    ) -> None:
        checked = FgrpoConfig.model_validate(settings)
        self.signal_names = (*SIGNALS, *checked.signals)
        self.scorer = RolloutScorer(checked, build_judges(checked), tokenizer, max_response_length=max_response_length)
        self._see = partial(seen_images, processor, pixels)
        self._step = 0
        self._numbers: list[dict[str, Any]] = []

    async def begin(self, step: int) -> None:
        """Forget what was scored: batches from here on are of this training step."""
        self._step = step
        self._numbers = []

    async def take(self) -> list[dict[str, Any]]:
        """What was scored since `begin`, rollout by rollout in the order of the batches."""
        return self._numbers

    async def compute_reward(self, data: Any) -> tuple[Tensor, dict[str, list[float]]]:
        """Score a batch.

        Returns:
            EasyR1's rewards (B, T), the task reward at the last response token (0 without one), and the values behind
            the averages that it logs: measured ones only.
        """
        responses_BT = data.batch["responses"]
        lengths = data.batch["response_mask"].sum(-1).tolist()
        rollouts = list(self._rollouts(data.non_tensor_batch, responses_BT, lengths))
        numbers = await asyncio.gather(*map(self.scorer.score, rollouts))
        self._numbers += numbers
        rewards_BT = torch.zeros(responses_BT.shape, dtype=torch.float32)
        for row, (length, found) in enumerate(zip(lengths, numbers, strict=True)):
            if found["task_valid"] and length:
                rewards_BT[row, length - 1] = found["task"]
        return rewards_BT, self._measured(numbers)

    def _rollouts(self, columns: Mapping[str, Any], responses_BT: Tensor, lengths: Sequence[int]) -> Iterable[Rollout]:
        rows = list(columns[ROW])
        indices = [row["extra_info"]["index"] for row in rows]
        sessions = columns[SESSION] if SESSION in columns else numbered(indices)
        images: dict[int, Callable[[], tuple[Image, ...]]] = {}
        for number, (row, index) in enumerate(zip(rows, indices, strict=True)):
            if index not in images:  # a group's rollouts have the same pictures
                raw = columns["multi_modal_data"][number]["images"] if "multi_modal_data" in columns else ()
                images[index] = cache(partial(self._see, raw))
            yield Rollout(
                row=row,
                images=images[index],
                response_ids=responses_BT[number, : lengths[number]].tolist(),
                step=self._step,
                session=int(sessions[number]),
            )

    def _measured(self, numbers: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
        names = {OVERALL: "task"} | {name: name for name in self.signal_names}
        values = {shown: [found[name] for found in numbers if found[f"{name}_valid"]] for shown, name in names.items()}
        return {shown: measured for shown, measured in values.items() if measured}


def numbered(groups: Iterable[Any]) -> list[int]:
    """The number of each row within its group, in the order of the rows."""
    seen: Counter[Any] = Counter()
    numbers = []
    for group in groups:
        numbers.append(seen[group])
        seen[group] += 1
    return numbers


def seen_images(processor: Any, pixels: tuple[int | None, int | None], raw: Sequence[Any]) -> tuple[Image, ...]:
    """Pictures at the size at which the policy sees them: after EasyR1's budget and the processor's own."""
    from verl.utils.dataset import process_image

    return tuple(as_seen(processor, process_image(image, *pixels)) for image in raw)
