"""OmniSpatial: dynamics, interaction, logic and perspective taking (arXiv 2506.03135).

Hub `qizekun/OmniSpatial`, CC BY-NC 4.0, `OmniSpatial-test.zip`: `data.json` and a folder of pictures per task type.
1,533 rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, StrictInt

from easyr1_fgrpo.evaluation.benchmarks import aggregation
from easyr1_fgrpo.evaluation.benchmarks.item import Item, ItemMeta, Reject
from easyr1_fgrpo.evaluation.benchmarks.rows import check_columns, items_or_rejects
from easyr1_fgrpo.published.files import Folder, file_in, folder_of, local_copy, read_text
from easyr1_fgrpo.published.pictures import OpenFile, images

KEYS = ("id", "question", "options", "answer", "task_type", "sub_task_type")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


class _Row(BaseModel):
    id: str
    question: str
    options: tuple[str, ...]
    answer: StrictInt
    task_type: str
    sub_task_type: str


class OmniSpatial:
    """`answer` counts options from 0; `id` is "{picture}_{question}" and unique only within its task type."""

    name = "omnispatial"
    hub_id = "qizekun/OmniSpatial"
    n_expected = 1533

    def load(self, location: str | Path | None = None) -> Iterator[Item | Reject]:
        """From `OmniSpatial-test.zip`, a folder that holds it, or its unpacked content."""
        archive = "OmniSpatial-test.zip"
        copy = local_copy(location, self.hub_id, [archive])
        folder = folder_of("data.json", copy, archive=archive, inside=["OmniSpatial-test", ""])
        found = _read_rows(folder / "data.json")
        rows = ((f"row {number}", row) for number, row in enumerate(found))
        yield from items_or_rejects(self.name, rows, lambda row: self._item(folder, row))

    def _item(self, folder: Folder, values: Any) -> Item:
        row = _Row.model_validate(values)
        if not 0 <= row.answer < len(row.options):
            raise ValueError(f"answer {row.answer} is none of the {len(row.options)} options, counted from 0")
        identity = f"{row.task_type}/{row.id}"
        return Item(
            id=identity,
            benchmark=self.name,
            load_images=images([_picture(folder, row)], f"{self.name} {identity}"),
            question=row.question,
            choices=row.options,
            answer=row.options[row.answer],
            category=f"{row.task_type}/{row.sub_task_type}",
        )

    def aggregate(self, correct: Mapping[str, float], items: Sequence[ItemMeta]) -> dict[str, float]:
        """Over items, by the authors and the paper (the authors take the mean of five sampled runs)."""
        accuracy = aggregation.over_items(correct, items)
        return aggregation.named(authors=accuracy, paper=accuracy)


def _read_rows(file: Folder) -> list[Any]:
    try:
        rows = json.loads(read_text(file))
    except json.JSONDecodeError as error:
        raise ValueError(f"{file}: no JSON ({error})") from error
    if not isinstance(rows, list) or not rows:
        raise ValueError(f"{file}: no list of rows")
    if isinstance(rows[0], dict):
        check_columns(file, expected=KEYS, found=list(rows[0]))
    return rows


def _picture(folder: Folder, row: _Row) -> OpenFile:
    """`{task_type}/{picture}.png`, or another suffix where there is no png."""
    stem = f"{row.task_type}/{row.id.partition('_')[0]}"
    suffix = next((suffix for suffix in SUFFIXES if (folder / f"{stem}{suffix}").is_file()), SUFFIXES[0])
    return file_in(folder, f"{stem}{suffix}")
