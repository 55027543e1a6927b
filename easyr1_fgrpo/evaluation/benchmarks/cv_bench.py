"""CV-Bench: counting and relations in 2D, depth and distance in 3D (Cambrian-1, arXiv 2406.16860).

Hub `nyu-visionx/CV-Bench`, Apache 2.0, files `test_2d.parquet` (1,438 rows) and `test_3d.parquet` (1,200).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from easyr1_fgrpo.evaluation.benchmarks import aggregation
from easyr1_fgrpo.evaluation.benchmarks.item import Item, ItemMeta, Reject
from easyr1_fgrpo.evaluation.benchmarks.rows import Table, items_or_rejects
from easyr1_fgrpo.published.files import files_in, local_copy
from easyr1_fgrpo.published.option_fields import by_letter
from easyr1_fgrpo.published.pictures import images

COLUMNS = ("idx", "type", "task", "image", "question", "choices", "answer", "source")


class _Row(BaseModel):
    idx: int
    type: str
    task: str
    question: str
    choices: tuple[str, ...]
    answer: str
    source: str


@dataclass(frozen=True)
class CvBench:
    """One half of CV-Bench. `answer` is a letter, "(C)"; `group` is the source (ADE20K, COCO, Omni3D).

    Attributes:
        type: "2D" or "3D", as in the column `type`.
        n_expected: its rows.
    """

    type: str
    n_expected: int
    hub_id: str = "nyu-visionx/CV-Bench"

    @property
    def name(self) -> str:
        """`cv_bench_2d` or `cv_bench_3d`."""
        return f"cv_bench_{self.type.lower()}"

    @property
    def lmms_eval_task(self) -> str:
        """lmms-eval has the same names."""
        return self.name

    def load(self, location: str | Path | None = None) -> Iterator[Item | Reject]:
        """From the half's parquet file, or a folder that holds it."""
        file = f"test_{self.type.lower()}.parquet"
        table = Table(files_in(local_copy(location, self.hub_id, [file]), [file]), COLUMNS)
        yield from items_or_rejects(self.name, table.named_rows(), lambda row: self._item(table, *row))

    def _item(self, table: Table, number: int, values: dict[str, Any]) -> Item:
        row = _Row.model_validate(values)
        if row.type != self.type:
            raise ValueError(f"type {row.type!r}, expected {self.type!r}")
        return Item(
            id=str(row.idx),
            benchmark=self.name,
            load_images=images(table.files(number, "image"), f"{self.name} {row.idx}"),
            question=row.question,
            choices=row.choices,
            answer=by_letter(row.answer, row.choices),
            category=row.task,
            group=row.source,
        )

    def aggregate(self, correct: Mapping[str, float], items: Sequence[ItemMeta]) -> dict[str, float]:
        """The authors average over sources (2D: ADE20K and COCO; 3D has only Omni3D), the paper over items."""
        return aggregation.named(
            authors=aggregation.over_groups(correct, items), paper=aggregation.over_items(correct, items)
        )
