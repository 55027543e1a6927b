"""Rows of EasyR1 (github.com/hiyouga/EasyR1) -> rows of ours: `problem`, `answer` and `images` in parquet or JSON.

What EasyR1 writes into one text is taken apart: image marks, the question, and options in lines like `A. four` or
`(A) four`. Our task prompt takes the place of its `format_prompt`. Rows without an image are rejected, and so are those
with an image in the middle of a sentence: our prompts show all images before the text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from data_prep.sources.item import Item, Reject
from data_prep.sources.pictures import picture_bytes
from data_prep.sources.source import Source
from data_prep.sources.text import question_and_answer, without_marks
from easyr1_fgrpo.published.files import find_files

NAME = "easyr1"


@dataclass(frozen=True)
class Keys:
    """EasyR1's `data.prompt_key`, `data.answer_key` and `data.image_key`, as its examples set them."""

    prompt: str = "problem"
    answer: str = "answer"
    image: str = "images"


class _Record(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    prompt: str
    answer: str = Field(coerce_numbers_to_str=True)
    images: list[Any]


def easyr1(location: str, images: Path | None, keys: Keys) -> tuple[Source, list[Path]]:
    """A data set of EasyR1 as a source, and its files.

    Args:
        location: what stands in EasyR1's `data.train_files`: a file, a folder or a hub id, with `@part` for the files
            of one part.
        images: EasyR1's `data.image_dir`: the folder of images that rows name by path; None for the records' folder.
        keys: names of the columns.

    Raises:
        ValueError: when nothing is found, or when the hub cannot be read.
    """
    path, _, part = location.partition("@")
    patterns = [f"**/{part}-*.parquet", f"**/{part}*.parquet", f"**/{part}*.jsonl", f"**/{part}*.json"]
    files = find_files(path, patterns if part else ["**/*.parquet", "**/*.jsonl", "**/*.json"])
    return Source(NAME, "", "not stated", (), _reader(images or files[0].parent, keys)), files


# ---------------------------------------------------------------------- one record


def _reader(folder: Path, keys: Keys) -> Callable[[dict[str, Any]], Item]:
    root = folder.resolve()

    def read(record: dict[str, Any]) -> Item:
        named = {"prompt": keys.prompt, "answer": keys.answer, "images": keys.image}
        if missing := [key for key in named.values() if record.get(key) is None]:
            raise Reject("no " + missing[0])
        row = _Record.model_validate({field: record[key] for field, key in named.items()})
        text = without_marks(row.prompt, len(row.images))
        question, choices, answer = question_and_answer(text, row.answer)
        return Item(
            question=question,
            answer=answer,
            choices=choices,
            images=tuple(picture_bytes(image, root) for image in row.images),
        )

    return read
