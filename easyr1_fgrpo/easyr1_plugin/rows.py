"""A row of EasyR1 (`problem`, `answer`, `images`), or one of ours, as what rewards have to know of it.

EasyR1 drops the question before rewards are asked for, and makes 2-D arrays of columns that are lists. So everything
that rewards read of a row travels in one column, a dictionary: `ROW`. Nothing of EasyR1 is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from easyr1_fgrpo.pictures import UnreadableImage, opened, plain_file, rgb
from easyr1_fgrpo.rows import IMAGE_MARK

ROW = "fgrpo_row"
"""The column; it holds the part of one of our rows that `training.rollout` reads."""


class Rows:
    """What EasyR1's dataset reads its examples from, by position: the columns that it knows, and `ROW`.

    Args:
        rows: a Hugging Face dataset.
        keys: with EasyR1's names of columns: `prompt_key`, `answer_key`, `image_key`, `video_key`, and `image_dir`.
        split: "train" or "val".

    Attributes:
        keys: as above.
        columns: of the file.
    """

    def __init__(self, rows: Any, keys: Any, split: str) -> None:
        self._rows, self.keys, self._split = rows, keys, split
        self.columns: list[str] = list(getattr(rows, "column_names", ()))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        example, keys = self._rows[index], self.keys
        if example.get(keys.video_key):
            raise ValueError(f"row {index}: it has {keys.video_key}, and FGRPO's judges look at pictures only")
        row = scored_part(example, keys, index, self._split)
        pictures = {keys.image_key: [_plain(image) for image in example.get(keys.image_key) or ()]}
        return {
            keys.prompt_key: example["prompt"] if is_ours(example) else example[keys.prompt_key],
            keys.answer_key: row["reward_model"]["ground_truth"],
            **(pictures if keys.image_key in example else {}),
            ROW: row,
        }


def is_ours(example: Mapping[str, Any]) -> bool:
    """Whether a row is one of ours (docs/your_own.md); else it is EasyR1's."""
    return "reward_model" in example and "extra_info" in example


def scored_part(example: Mapping[str, Any], keys: Any, index: int, split: str) -> dict[str, Any]:
    """What rewards read of a row.

    Args:
        example: the row; of EasyR1's, further columns `choices` (texts) and `boxes` (xyxy in raw pixels of the first
            image) are read.
        keys: as in `Rows`.
        index: the row's position.
        split: "train" or "val".
    """
    if is_ours(example):
        return {"reward_model": example["reward_model"], "extra_info": {**example["extra_info"], "split": split}}
    images = example.get(keys.image_key) or ()
    width, height = _size(images[0], keys.image_dir) if images else (1, 1)
    return {
        "reward_model": {"ground_truth": str(example[keys.answer_key])},
        "extra_info": {
            "index": index,
            "split": split,
            "question": example[keys.prompt_key].replace(IMAGE_MARK, "").strip(),
            "choices": list(example.get("choices") or ()),
            "boxes": [list(box) for box in example.get("boxes") or ()],
            "width": width,
            "height": height,
        },
    }


def _plain(image: Any) -> Any:
    """The picture so that EasyR1, which drops transparency, decodes it as everything else here does."""
    if isinstance(image, Image.Image):
        return rgb(image)
    if isinstance(image, str):
        return image
    return {"bytes": plain_file(_file(image))}


def _size(image: Any, folder: str | None) -> tuple[int, int]:
    """Width and height in pixels, from the file's header."""
    if isinstance(image, Image.Image):
        return image.size
    with opened(Path(folder or "") / image if isinstance(image, str) else _file(image)) as picture:
        return picture.size


def _file(image: Any) -> bytes:
    """A picture's bytes, which stand alone or beside a path that EasyR1 does not follow."""
    file = image.get("bytes") if isinstance(image, dict) else image
    if not isinstance(file, bytes):
        raise UnreadableImage("no bytes, and a path beside them is not followed")
    return file
