"""EasyR1's dataset, which also reads rows of ours, and hands on what rewards have to know."""

from __future__ import annotations

from typing import Any

from verl.utils.dataset import RLHFDataset

from easyr1_fgrpo.easyr1_plugin.rows import Rows
from easyr1_fgrpo.generation.processor import content_parts


class FaithfulDataset(RLHFDataset):  # type: ignore[misc, unused-ignore]
    """Questions for RL.

    Args:
        split: "train" or "val".
        options: EasyR1's.
    """

    def __init__(self, *, split: str, **options: Any) -> None:
        super().__init__(**options)
        rows: Any = self.dataset
        self.dataset: Any = Rows(rows, self, split)

    def _build_messages(self, example: dict[str, Any]) -> list[dict[str, Any]]:
        prompt: Any = example.get(self.prompt_key, example.get("prompt"))
        if isinstance(prompt, str):
            messages: list[dict[str, Any]] = super()._build_messages(example)
            return messages
        if self.format_prompt:
            raise ValueError(
                "data.format_prompt: rows with a `prompt` of turns have their instruction already; set it to null"
            )
        return [{"role": turn["role"], "content": content_parts(turn["content"])} for turn in prompt]


def rows_of(data: Any, key: str) -> Rows:
    """All rows of a file as training reads them, before prompts that are too long are left out; no model is needed.

    Args:
        data: EasyR1's section of the config.
        key: `train_files` or `val_files`.

    Raises:
        ValueError: when they cannot be read, in one line.
    """
    columns = {name: data[name] for name in ("prompt_key", "answer_key", "image_key", "video_key", "image_dir")}
    unread: dict[str, Any] = {"tokenizer": None, "processor": None, "filter_overlong_prompts": False}
    try:
        found = FaithfulDataset(split="train", data_path=data[key], **columns, **unread)
    except Exception as error:  # whatever the reader of the format raises
        why = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"data.{key}={data[key]}: cannot be read ({why[:300]})") from error
    rows: Rows = found.dataset
    return rows
