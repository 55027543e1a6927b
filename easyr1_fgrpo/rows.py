"""One row of a dataset, in verl's columns: read, and checked before anything is trained or evaluated on it.

A file is parquet with the columns `data_source`, `prompt`, `images`, `reward_model` and `extra_info`. Rows are numbered
from 0, as pandas and pyarrow number them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from tqdm import tqdm

IMAGE_MARK = "<image>"
"""Where an image stands in the text of a prompt."""

BATCH_ROWS = 64

Box = tuple[float, float, float, float]
Filled = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
OrEmpty = BeforeValidator(lambda value: () if value is None else value)
"""For lists: parquet writers store an empty list as null."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Message(_Part):
    """One turn of the prompt."""

    role: Filled
    content: Filled


class RowImage(_Part):
    """An image file's bytes, of any format that Pillow reads."""

    data: Annotated[bytes, Field(alias="bytes", min_length=1, repr=False)]

    def open(self) -> Image.Image:
        """Decode to RGB.

        Raises:
            ValueError: when the bytes are no whole image.
        """
        try:
            with Image.open(BytesIO(self.data)) as image:
                return image.convert("RGB")
        except Exception as error:  # Pillow's decoders raise many kinds on damaged files
            raise ValueError(f"unreadable image ({type(error).__name__}: {error})") from error


class RewardModel(_Part):
    """What the answer is compared with."""

    style: str = "rule"
    ground_truth: Filled


class ExtraInfo(_Part):
    """What rewards and judges need to know about a row.

    Attributes:
        index: unique within the split.
        split: names the split; "train" is trained on.
        question: the user's question, as judges read it.
        choices: the options' texts in order; empty for a free answer.
        source: where the row comes from.
        boxes: ground-truth boxes, xyxy in raw pixels of the first image; empty where the row has none.
        width, height: of the first image, raw pixels.
    """

    index: int
    split: Filled
    question: Filled
    choices: Annotated[tuple[Filled, ...], OrEmpty]
    source: str = ""
    boxes: Annotated[tuple[Box, ...], OrEmpty]
    width: Annotated[int, Field(gt=0)]
    height: Annotated[int, Field(gt=0)]

    @model_validator(mode="after")
    def _boxes_inside(self) -> ExtraInfo:
        for x1, y1, x2, y2 in self.boxes:
            if not (0 <= x1 < x2 <= self.width and 0 <= y1 < y2 <= self.height):
                raise ValueError(f"box {[x1, y1, x2, y2]} is not inside the image of {self.width} x {self.height} pixels")
        return self


class Row(_Part):
    """One question with its images and its answer.

    Attributes:
        data_source: name of the dataset.
        prompt: what the policy reads; every `<image>` in it stands for the next image.
        images: at least one.
        reward_model: holds the ground truth, the right option's text.
        extra_info: see `ExtraInfo`.
    """

    data_source: str
    prompt: Annotated[tuple[Message, ...], Field(min_length=1)]
    images: Annotated[tuple[RowImage, ...], Field(min_length=1), OrEmpty]
    reward_model: RewardModel
    extra_info: ExtraInfo

    @model_validator(mode="after")
    def _parts_agree(self) -> Row:
        marks = sum(message.content.count(IMAGE_MARK) for message in self.prompt)
        if marks != len(self.images):
            raise ValueError(f"the prompt has {marks} {IMAGE_MARK} marks for {len(self.images)} images")
        choices = {choice.casefold() for choice in self.extra_info.choices}
        if choices and self.ground_truth.casefold() not in choices:
            raise ValueError(f"the answer {self.ground_truth!r} is none of the choices {list(self.extra_info.choices)}")
        return self

    @property
    def ground_truth(self) -> str:
        """The right option's text."""
        return self.reward_model.ground_truth

    def open_images(self) -> tuple[Image.Image, ...]:
        """Decode all images, RGB at their raw size.

        Raises:
            ValueError: when one is unreadable.
        """
        return tuple(image.open() for image in self.images)

    def boxes_at(self, width: int, height: int) -> tuple[Box, ...]:
        """The ground-truth boxes in pixels of the first image resized to width x height."""
        x, y = width / self.extra_info.width, height / self.extra_info.height
        return tuple((x1 * x, y1 * y, x2 * x, y2 * y) for x1, y1, x2, y2 in self.extra_info.boxes)


def count_rows(path: str | Path) -> int:
    """Number of rows of a parquet file, from its footer."""
    rows: int = pq.read_metadata(path).num_rows
    return rows


def read_rows(path: str | Path) -> Iterator[Row]:
    """Read a file row by row, a batch in memory at a time; images stay encoded.

    Raises:
        ValueError: at the first row that is none, with file, row number and what is wrong. Whether images decode is
            left to `check_rows` and `Row.open_images`.
    """
    for number, values in _raw_rows(path):
        row, problem = _parse(values)
        if row is None:
            raise ValueError(f"{path} row {number}: {problem}")
        yield row


def check_rows(paths: Iterable[str | Path]) -> list[str]:
    """Check whole files, images decoded: one line per bad file or row, naming it and what is wrong.

    An index that occurs twice in a split is a problem too: traces and seeds are kept by it. Shows progress on files that
    take longer than a second.
    """
    problems: list[str] = []
    seen: dict[tuple[str, int], str] = {}
    for path in paths:
        try:
            problems += _check_file(path, seen)
        except (OSError, pa.ArrowException) as error:
            problems.append(f"{path}: cannot be read as parquet ({str(error).splitlines()[0]})")
    return problems


# ---------------------------------------------------------------------- one file, one row


def _check_file(path: str | Path, seen: dict[tuple[str, int], str]) -> Iterator[str]:
    total = count_rows(path)
    if absent := [name for name in Row.model_fields if name not in pq.read_schema(path).names]:
        yield f"{path}: no column {', '.join(absent)}"
    elif total == 0:
        yield f"{path}: no rows"
    else:
        bar = tqdm(_raw_rows(path), total=total, desc=f"Checking {Path(path).name}", unit="row", delay=1.0, leave=False)
        with ThreadPoolExecutor() as decoders:  # Pillow decodes outside the interpreter lock
            for number, row, problem in _in_batches(bar, decoders):
                where = f"{path} row {number}"
                if row is not None:
                    first = seen.setdefault((row.extra_info.split, row.extra_info.index), where)
                    if first != where:
                        problem = f"extra_info.index={row.extra_info.index} of split {row.extra_info.split!r} is in {first}"
                if problem:
                    yield f"{where}: {problem}"


def _in_batches(
    rows: Iterable[tuple[int, dict[str, Any]]], decoders: ThreadPoolExecutor
) -> Iterator[tuple[int, Row | None, str]]:
    batch: list[tuple[int, dict[str, Any]]] = []
    for numbered in rows:
        batch.append(numbered)
        if len(batch) == BATCH_ROWS:
            yield from decoders.map(_check_row, *zip(*batch, strict=True))
            batch = []
    if batch:
        yield from decoders.map(_check_row, *zip(*batch, strict=True))
