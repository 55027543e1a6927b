"""Rows of a file as `easyr1_fgrpo.rows` defines them: a run's held-out questions, the miniature's, or your own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from easyr1_fgrpo.checkpoints import file_sha256
from easyr1_fgrpo.evaluation.benchmarks import aggregation
from easyr1_fgrpo.evaluation.benchmarks.item import Item, ItemMeta, Reject
from easyr1_fgrpo.evaluation.benchmarks.rows import Table, items_or_rejects
from easyr1_fgrpo.normal_form import named_by_text
from easyr1_fgrpo.published.files import files_in, local_copy
from easyr1_fgrpo.published.pictures import images
from easyr1_fgrpo.rows import Row


def content_of(location: str | Path) -> str:
    """Hash of a file of rows, or of a folder's."""
    return "-".join(map(file_sha256, _files(location)))


def _files(location: str | Path) -> list[Path]:
    return files_in(local_copy(location, "", []), ["*.parquet"])


class RowFile:
    """Items with reference boxes where rows have them, and with the prompt that training used.

    Args:
        name: what the questions are called in tables and files.
    """

    hub_id = ""
    n_expected = None

    def __init__(self, name: str) -> None:
        self.name = name

    def load(self, location: str | Path | None = None) -> Iterator[Item | Reject]:
        """From a parquet file of rows; it is on no hub."""
        if location is None:
            raise ValueError(f"{self.name}: name a parquet file of rows, {self.name}=FILE")
        table = Table(_files(location), tuple(Row.model_fields))
        content = content_of(location)
        yield from items_or_rejects(self.name, table.named_rows(), lambda row: self._item(table, content, *row))

    def _item(self, table: Table, content: str, number: int, values: dict[str, Any]) -> Item:
        row = Row.model_validate(values)
        info = row.extra_info
        identity = f"{info.split}/{info.index}"
        gold = row.reward_model.ground_truth
        return Item(
            id=identity,
            benchmark=self.name,
            load_images=images(table.files(number, "images"), f"{self.name} {identity}"),
            question=info.question,
            choices=info.choices,
            answer=next((info.choices[i] for i in named_by_text(gold, info.choices)), gold),
            category=info.source,
            boxes=info.boxes,
            prompt=tuple(message.model_dump() for message in row.prompt),
            content=content,
        )

    def aggregate(self, correct: Mapping[str, float], items: Sequence[ItemMeta]) -> dict[str, float]:
        """Over items."""
        accuracy = aggregation.over_items(correct, items)
        return aggregation.named(authors=accuracy, paper=accuracy)
