"""SAT-Real: motion and perspective in 150 real photographs or pairs of them (SAT, arXiv 2412.07755).

Hub `array/SAT`, MIT, `SAT_test.parquet`; `array/SAT-v2` has the pictures in `images`. The card asks for circular
evaluation: a row becomes one item for every rotation of its answers, which are two, so 300 items.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from easyr1_fgrpo.evaluation.benchmarks import aggregation
from easyr1_fgrpo.evaluation.benchmarks.item import Item, ItemMeta, Reject
from easyr1_fgrpo.evaluation.benchmarks.rows import Table, items_or_rejects
from easyr1_fgrpo.published.files import files_in, local_copy
from easyr1_fgrpo.published.pictures import images
from easyr1_fgrpo.published.records import parquet_columns

COLUMNS = ("question", "answers", "question_type", "correct_answer")
FILE = "SAT_test.parquet"


class _Row(BaseModel):
    question: str
    answers: tuple[str, ...]
    question_type: str
    correct_answer: str


class SatReal:
    """`correct_answer` is a text among `answers`; `group` is the row, whose rotations are its items."""

    name = "sat_real"
    hub_id = "array/SAT"
    n_expected = 300

    def load(self, location: str | Path | None = None) -> Iterator[Item | Reject]:
        """From `SAT_test.parquet` or a folder that holds it."""
        files = files_in(local_copy(location, self.hub_id, [FILE]), [FILE, "data/test-*.parquet"])
        column = _image_column(files[0])
        table = Table(files, (column, *COLUMNS))
        yield from items_or_rejects(self.name, _rotations(table), lambda row: self._item(table, column, *row))

    def _item(self, table: Table, column: str, number: int, rotation: int, values: dict[str, Any]) -> Item:
        row = _Row.model_validate(values)
        if row.correct_answer not in row.answers:
            raise ValueError(f"correct_answer {row.correct_answer!r} is none of the answers {list(row.answers)}")
        return Item(
            id=f"{number}-{rotation}",
            benchmark=self.name,
            load_images=images(table.files(number, column), f"{self.name} {number}"),
            question=row.question,
            choices=row.answers[rotation:] + row.answers[:rotation],
            answer=row.correct_answer,
            category=row.question_type,
            group=str(number),
        )

    def aggregate(self, correct: Mapping[str, float], items: Sequence[ItemMeta]) -> dict[str, float]:
        """Over all items, each order of the answers by itself, by the authors and the paper."""
        accuracy = aggregation.over_items(correct, items)
        return aggregation.named(authors=accuracy, paper=accuracy)


def _rotations(table: Table) -> Iterator[tuple[str, tuple[int, int, dict[str, Any]]]]:
    for name, (number, values) in table.named_rows():
        for rotation in range(max(1, len(values["answers"] or ()))):
            yield f"{name}, rotation {rotation}", (number, rotation, values)


def _image_column(path: Path) -> str:
    """`images` in SAT-v2, `image_bytes` in SAT."""
    return "images" if "images" in parquet_columns(path) else "image_bytes"
