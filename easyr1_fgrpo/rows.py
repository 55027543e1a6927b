"""One row of a dataset, in verl's columns: read, and checked before anything is trained or evaluated on it.

A file is parquet with the columns `data_source`, `prompt`, `images`, `reward_model` and `extra_info`. Rows are numbered
from 0, as pandas and pyarrow number them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from tqdm import tqdm

IMAGE_MARK = "<image>"
"""Where an image stands in the text of a prompt."""

BATCH_ROWS = 64
"""Rows in memory at a time."""

T = TypeVar("T")


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("is blank")
    return text


def _not_empty(items: tuple[T, ...]) -> tuple[T, ...]:
    if not items:
        raise ValueError("is empty")
    return items


Text = Annotated[str, AfterValidator(_not_blank)]
Box = tuple[float, float, float, float]
NullAsEmpty = BeforeValidator(lambda items: () if items is None else items)  # parquet writers differ on empty lists


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Message(_Part):
    """One turn of the prompt."""

    role: Text
    content: Text


class RowImage(_Part):
    """An image file's bytes, of any format that Pillow reads; a path or URL beside them is never followed."""

    data: Annotated[bytes, Field(alias="bytes", repr=False)]

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
    ground_truth: Text


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
    split: Text
    question: Text
    choices: Annotated[tuple[Text, ...], NullAsEmpty]
    source: str = ""
    boxes: Annotated[tuple[Box, ...], NullAsEmpty]
    width: Annotated[int, Field(gt=0)]
    height: Annotated[int, Field(gt=0)]

    @model_validator(mode="after")
    def _boxes_inside(self) -> ExtraInfo:
        for x1, y1, x2, y2 in self.boxes:
            if not (0 <= x1 < x2 <= self.width and 0 <= y1 < y2 <= self.height):
                size = f"{self.width} x {self.height} pixels"
                raise ValueError(f"box [{x1:g}, {y1:g}, {x2:g}, {y2:g}] is not a box inside the image of {size}")
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
    prompt: Annotated[tuple[Message, ...], AfterValidator(_not_empty)]
    images: Annotated[tuple[RowImage, ...], NullAsEmpty, AfterValidator(_not_empty)]
    reward_model: RewardModel
    extra_info: ExtraInfo

    @model_validator(mode="after")
    def _parts_agree(self) -> Row:
        marks = sum(message.content.count(IMAGE_MARK) for message in self.prompt)
        if marks != len(self.images):
            raise ValueError(f"the prompt has {marks} {IMAGE_MARK} marks for {len(self.images)} images")
        answer, choices = self.reward_model.ground_truth, self.extra_info.choices
        if choices and answer.strip().casefold() not in {choice.strip().casefold() for choice in choices}:
            raise ValueError(f"reward_model.ground_truth {answer!r} is none of the choices {list(choices)}")
        return self

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
    number = 0
    for batch in _batches(path):
        for values in batch:
            try:
                yield Row.model_validate(values)
            except ValidationError as error:
                raise ValueError(f"{path} row {number}: {explain(error)}") from None
            number += 1


def check_rows(paths: Iterable[str | Path]) -> list[str]:
    """Check whole files, images decoded; progress is shown when it takes longer than a second.

    An index that occurs twice in a split is a problem too: traces and seeds are kept by it.

    Returns:
        One line per bad file or row, naming it and what is wrong.
    """
    problems: list[str] = []
    seen: dict[tuple[str, int], str] = {}
    for path in paths:
        try:
            problems += _file_problems(path, seen)
        except (OSError, pa.ArrowException) as error:
            problems.append(f"{path}: cannot be read as parquet ({str(error).partition(chr(10))[0]})")
    return problems


# ---------------------------------------------------------------------- one file, one row


def _batches(path: str | Path) -> Iterator[list[dict[str, Any]]]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH_ROWS, columns=list(Row.model_fields)):
            yield batch.to_pylist()


def _file_problems(path: str | Path, seen: dict[tuple[str, int], str]) -> list[str]:
    """Problems of one file; `seen` holds where each (split, index) first was."""
    if missing := _missing_columns(pq.read_schema(path)):
        return [f"{path}: no column {', '.join(missing)}"]
    if (total := count_rows(path)) == 0:
        return [f"{path}: no rows"]
    problems: list[str] = []
    number = 0
    bar = tqdm(total=total, desc=f"Checking {Path(path).name}", unit="row", delay=1.0, leave=False)
    with bar, ThreadPoolExecutor() as threads:  # Pillow decodes outside the interpreter lock
        for batch in _batches(path):
            for key, problem in threads.map(_check_row, batch):
                where = f"{path} row {number}"
                first = where if key is None else seen.setdefault(key, where)
                if problem:
                    problems.append(f"{where}: {problem}")
                elif first != where:
                    problems.append(f"{where}: the extra_info.index and split of {first} again")
                number += 1
            bar.update(len(batch))
    return problems


def _missing_columns(schema: pa.Schema) -> list[str]:
    missing = [name for name in Row.model_fields if name not in schema.names]
    for name, part in (("reward_model", RewardModel), ("extra_info", ExtraInfo)):
        if name in schema.names and pa.types.is_struct(struct := schema.field(name).type):
            held = {field.name for field in struct}
            required = [key for key, field in part.model_fields.items() if field.is_required()]
            missing += [f"{name}.{key}" for key in required if key not in held]
    return missing


def _check_row(values: dict[str, Any]) -> tuple[tuple[str, int] | None, str]:
    """A row's (split, index), None when it has none, and what is wrong with it, "" when nothing is."""
    try:
        row = Row.model_validate(values)
    except ValidationError as error:
        return None, explain(error)
    info = row.extra_info
    try:
        width, height = row.open_images()[0].size
    except ValueError as error:
        return (info.split, info.index), str(error)
    if (width, height) != (info.width, info.height):
        problem = f"the first image has {width} x {height} pixels, extra_info says {info.width} x {info.height}"
        return (info.split, info.index), problem
    return (info.split, info.index), ""


def explain(error: ValidationError) -> str:
    """What pydantic found wrong with a row or a record, on one line, without its values."""
    parts = []
    for item in error.errors(include_url=False):
        name = ".".join(map(str, item["loc"]))
        message = "is missing" if item["input"] is None else item["msg"].removeprefix("Value error, ")
        parts.append(f"{name}: {message}" if name else message)
    return "; ".join(parts)
