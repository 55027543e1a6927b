"""verl's datasets with the pixel budget of `fgrpo.images`: the policy sees an image at one size in every stage.

Without it the warm start, the rollouts and the processor would each resize by a budget of their own, and boxes in
pixels would mean something else in each.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from verl.utils.dataset.multiturn_sft_dataset import MultiTurnSFTDataset
from verl.utils.dataset.rl_dataset import RLHFDataset

from easyr1_fgrpo.host import on_cpu
from easyr1_fgrpo.pictures import plain_file

CHECK_EVERY = 32
"""On the CPU: traces read per trace that is rendered twice; see `BudgetedTraces.sanity_check`."""


class BudgetedDataset(RLHFDataset):  # type: ignore[misc, unused-ignore]
    """Questions for RL; reads `data.image_budget` (`min_pixels`, `max_pixels`)."""

    def __getitem__(self, item: int) -> Any:
        row = super().__getitem__(item)
        del row[self.prompt_key]  # is `raw_prompt` now, and would travel a second time with each rollout
        return row

    def _build_messages(self, example: dict[str, Any], key: str) -> Any:
        example = within_budget(example, self.image_key, self.config.image_budget)
        return super()._build_messages(encoded(example, self.image_key), key)


class BudgetedTraces(MultiTurnSFTDataset):  # type: ignore[misc, unused-ignore]
    """Traces for the warm start; reads `data.image_budget` (`min_pixels`, `max_pixels`)."""

    def __init__(self, parquet_files: Any, tokenizer: Any, config: Any, **more: Any) -> None:
        self.image_budget = config.image_budget
        self.n_read = 0
        super().__init__(parquet_files, tokenizer, config, **more)

    def sanity_check(self, *conversation: Any) -> None:
        """Compare a conversation rendered turn by turn with the whole; on the CPU only every `CHECK_EVERY`th.

        It renders every conversation again, images included: a third of the reader's time, which on two cores is the
        miniature's time. There we wrote the traces ourselves, and a chat template that does not fit shows in all.
        """
        if not on_cpu() or self.n_read % CHECK_EVERY == 0:
            super().sanity_check(*conversation)
        self.n_read += 1

    def _build_messages(self, example: dict[str, Any]) -> Any:
        return super()._build_messages(within_budget(example, self.image_key, self.image_budget))


def within_budget(example: dict[str, Any], image_key: str, budget: Any) -> dict[str, Any]:
    """A dataset row whose images carry their pixel budget; whoever loads them (qwen_vl_utils) keeps to it.

    Files of which readers make different pictures are PNG of what judges and evaluation see (`pictures.plain_file`).

    Args:
        example: a row; its images are dictionaries with `bytes`, as `easyr1_fgrpo.rows` demands.
        image_key: the column of the images.
        budget: with `min_pixels` and `max_pixels`.
    """
    if example.get(image_key) is None:
        return example
    pixels = {"min_pixels": int(budget.min_pixels), "max_pixels": int(budget.max_pixels)}
    return {**example, image_key: [_within(image, pixels) for image in example[image_key]]}


def _within(image: dict[str, Any], pixels: dict[str, int]) -> dict[str, Any]:
    return {**image, "bytes": plain_file(image["bytes"]), **pixels}


def encoded(example: dict[str, Any], image_key: str) -> dict[str, Any]:
    """A dataset row whose images are data URLs of their files instead of `bytes`.

    Beside `bytes` verl puts the opened picture, and the prompt travels to reward workers and into the queue with each
    rollout: a file of 67 KiB with 1920 x 1088 pixels would be 6 MiB. A data URL is opened by whoever looks at it.

    Args:
        example: a row; its images are dictionaries with `bytes`.
        image_key: the column of the images.
    """
    if example.get(image_key) is None:
        return example
    images = []
    for image in example[image_key]:
        more = {key: value for key, value in image.items() if key != "bytes"}
        # No type: qwen_vl_utils and Pillow look at the file itself.
        images.append({**more, "image": f"data:image;base64,{b64encode(image['bytes']).decode()}"})
    return {**example, image_key: images}
