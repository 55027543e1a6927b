"""MindCube-tiny: a scene imagined from 2 to 4 pictures of it (arXiv 2506.21458).

Hub `MLL-Lab/MindCube`, one `data.zip`; no licence is stated. 1,050 rows: among 600, around 250, rotation 200. Rows were
corrected in March 2026, so numbers depend on the revision.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel

from easyr1_fgrpo.evaluation.benchmarks import aggregation
from easyr1_fgrpo.evaluation.benchmarks.item import Item, ItemMeta, Reject
from easyr1_fgrpo.evaluation.benchmarks.rows import check_columns, items_or_rejects
from easyr1_fgrpo.published.files import Folder, file_in, folder_of, local_copy, read_text
from easyr1_fgrpo.published.option_fields import by_letter
from easyr1_fgrpo.published.options import split_options
from easyr1_fgrpo.published.pictures import images

INDEX = "raw/MindCube_tinybench.jsonl"
KEYS = ("id", "question", "images", "gt_answer")
SETTINGS = ("around", "rotation", "translation", "among")


class _Row(BaseModel):
    id: str
    question: str
    images: tuple[str, ...]
    gt_answer: str


class MindCube:
    """Options stand inside the question, `gt_answer` is a letter, images are paths relative to `data/`."""

    name = "mindcube"
    hub_id = "MLL-Lab/MindCube"
    n_expected = 1050

    def load(self, location: str | Path | None = None) -> Iterator[Item | Reject]:
        """From `data.zip`, a folder that holds it, or its unpacked content."""
        copy = local_copy(location, self.hub_id, ["data.zip"])
        folder = folder_of(INDEX, copy, archive="data.zip", inside=["data", ""])
        lines = read_text(folder / INDEX).split("\n")
        rows = [(f"line {number}", line) for number, line in enumerate(lines, start=1) if line.strip()]
        _check_first(folder / INDEX, [line for _, line in rows])
        yield from items_or_rejects(self.name, rows, lambda line: self._item(folder, line))

    def _item(self, folder: Folder, line: str) -> Item:
        row = _Row.model_validate_json(line)
        question, choices = split_options(row.question)
        if not choices:
            raise ValueError("no options inside the question")
        if not row.images:
            raise ValueError("no images")
        return Item(
            id=row.id,
            benchmark=self.name,
            load_images=images([file_in(folder, path) for path in row.images], f"{self.name} {row.id}"),
            question=question,
            choices=choices,
            answer=by_letter(row.gt_answer, choices),
            category=next((setting for setting in SETTINGS if setting in row.id), "other"),
        )

    def aggregate(self, correct: Mapping[str, float], items: Sequence[ItemMeta]) -> dict[str, float]:
        """The authors' overall accuracy leaves out `translation` (tiny has none), the paper's is over all items."""
        counted = [item for item in items if item.category != "translation"]
        return aggregation.named(
            authors=aggregation.over_items(correct, counted), paper=aggregation.over_items(correct, items)
        )


def _check_first(path: Folder, lines: Sequence[str]) -> None:
    """A renamed key is an error of the file, not of every row."""
    try:
        first = json.loads(lines[0]) if lines else None
    except json.JSONDecodeError:
        return  # that line is a reject
    if not isinstance(first, dict):
        raise ValueError(f"{path}: no rows")
    check_columns(path, expected=KEYS, found=list(first))
