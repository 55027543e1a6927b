"""The miniature's held-out questions, or any other dataset of rows as `easyr1_fgrpo.rows` defines them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from easyr1_fgrpo.evaluation.benchmarks import aggregation
from easyr1_fgrpo.evaluation.benchmarks.item import Item, ItemMeta, Reject
from easyr1_fgrpo.evaluation.benchmarks.rows import Table, items_or_rejects
from easyr1_fgrpo.published.files import files_in, local_copy
from easyr1_fgrpo.published.pictures import images
from easyr1_fgrpo.rows import Row


class Miniature:
    """Items with reference boxes where rows have them."""

    name = "miniature"
    hub_id = ""
    lmms_eval_task = ""
    n_expected = None

    def load(self, location: str | Path | None = None) -> Iterator[Item | Reject]:
        """From a parquet file of rows; it is on no hub."""
        if location is None:
            raise ValueError("miniature: name a parquet file of rows, such as the one its world was made with")
        table = Table(files_in(local_copy(location, self.hub_id, []), ["*.parquet"]), tuple(Row.model_fields))
        yield from items_or_rejects(self.name, table.named_rows(), lambda row: self._item(table, *row))

    def _item(self, table: Table, number: int, values: dict[str, Any]) -> Item:
        row = Row.model_validate(values)
        info = row.extra_info
        identity = f"{info.split}-{info.index}"
        gold = row.reward_model.ground_truth
        return Item(
            id=identity,
            benchmark=self.name,
            load_images=images(table.files(number, "images"), f"{self.name} {identity}"),
            question=info.question,
            choices=info.choices,
            answer=next(
                (choice for choice in info.choices if choice.strip().casefold() == gold.strip().casefold()), gold
            ),
            category=info.source,
            boxes=info.boxes,
        )

    def aggregate(self, correct: Mapping[str, float], items: Sequence[ItemMeta]) -> dict[str, float]:
        """Over items."""
        accuracy = aggregation.over_items(correct, items)
        return aggregation.named(authors=accuracy, paper=accuracy)
