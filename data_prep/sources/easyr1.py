"""Rows of EasyR1 (github.com/hiyouga/EasyR1) -> rows of ours: `problem`, `answer` and `images` in parquet or JSON.

What EasyR1 writes into one text is taken apart: image marks, the question, and options in lines like `A. four` or
`(A) four`. Our task prompt takes the place of its `format_prompt`. Rows without an image are rejected, and so are those
with an image in the middle of a sentence: our prompts show all images before the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from data_prep.sources.item import Item, Reject
from data_prep.sources.source import Source
from data_prep.sources.text import question_and_answer
from easyr1_fgrpo.published.files import find_files

NAME = "easyr1"
_MARK = "<image>"
_MARKS_AROUND = re.compile(rf"(?:\s|{_MARK})*(?P<text>.*?)(?:\s|{_MARK})*", re.DOTALL)


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
        text = _without_marks(row.prompt, len(row.images))
        question, choices, answer = question_and_answer(text, row.answer)
        return Item(
            question=question,
            answer=answer,
            choices=choices,
            images=tuple(_image(image, root) for image in row.images),
        )

    return read


def _without_marks(prompt: str, images: int) -> str:
    """The text; its marks agree with the images and stand before or after it."""
    if not images:
        raise Reject("no image")
    if (marks := prompt.count(_MARK)) != images:
        raise Reject("marks and images differ in number", f"{marks} {_MARK} marks, {images} images")
    found = _MARKS_AROUND.fullmatch(prompt)
    assert found is not None
    if _MARK in found["text"]:
        raise Reject("an image inside the text", found["text"])
    return found["text"]


def _image(image: Any, root: Path) -> bytes:
    """An image's bytes, given as EasyR1 takes them: a path, bytes, or what `datasets` makes of either."""
    if isinstance(image, dict):
        image = image.get("bytes") or image.get("path")
    if isinstance(image, bytes):
        return image
    if not isinstance(image, str):
        raise Reject("missing image", f"neither bytes nor a path, but {type(image).__name__}")
    path = (root / image).resolve()
    if not path.is_relative_to(root):
        raise Reject("image path leaves the folder", repr(image))
    try:
        return path.read_bytes()
    except (OSError, ValueError):
        raise Reject("missing image", repr(image)) from None
