"""MMVP: 150 pairs of pictures that CLIP takes for the same, one question a pair, opposite answers (arXiv 2401.06209).

Hub `MMVP/MMVP`, MIT: `Questions.csv` and `MMVP Images/1.jpg` to `300.jpg`. The answers of questions 99/100 (an
elephant's tusks) and 279/280 (an elderly person) are swapped in it; the copy `lmms-lab-eval/MMVP`, a parquet file, has
them right. Each is read as it is published.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from easyr1_fgrpo.evaluation.benchmarks import aggregation
from easyr1_fgrpo.evaluation.benchmarks.item import Item, ItemMeta, Reject
from easyr1_fgrpo.evaluation.benchmarks.rows import Table, check_columns, items_or_rejects
from easyr1_fgrpo.published.files import file_in, files_in, local_copy, read_text
from easyr1_fgrpo.published.option_fields import by_letter
from easyr1_fgrpo.published.options import split_options
from easyr1_fgrpo.published.pictures import OpenFile, images

COLUMNS = ("Index", "Question", "Options", "Correct Answer")


class _Row(BaseModel):
    index: int = Field(alias="Index", ge=1)
    question: str = Field(alias="Question")
    options: str = Field(alias="Options")
    answer: str = Field(alias="Correct Answer")


class Mmvp:
    """`Options` reads "(a) Open (b) Closed", `Correct Answer` "(a)"; questions 1 and 2 are pair 1, and so on."""

    name = "mmvp"
    hub_id = "MMVP/MMVP"
    n_expected = 300

    def load(self, location: str | Path | None = None) -> Iterator[Item | Reject]:
        """From the folder with `Questions.csv`, or from the parquet file of `lmms-lab-eval/MMVP` (or its folder)."""
        copy = local_copy(location, self.hub_id, ["Questions.csv", "MMVP Images/*"])
        if (copy / "Questions.csv").is_file():
            return self._from_csv(copy)
        files = files_in(copy, ["data/train-*.parquet", "train-*.parquet", "*.parquet"])
        return self._from_table(Table(files, (*COLUMNS, "image")))

    def _from_csv(self, folder: Path) -> Iterator[Item | Reject]:
        reader = csv.DictReader(StringIO(read_text(folder / "Questions.csv")), skipinitialspace=True)
        # Copies are about whose header has a small L for the I.
        header = ["Index" if name == "lndex" else name for name in reader.fieldnames or ()]
        check_columns(folder / "Questions.csv", expected=COLUMNS, found=header)
        reader.fieldnames = header

        def item_of(values: dict[str, Any]) -> Item:
            row = _Row.model_validate(values)
            return self._item(row, file_in(folder, f"MMVP Images/{row.index}.jpg"))

        yield from items_or_rejects(self.name, _csv_rows(reader, folder / "Questions.csv"), item_of)

    def _from_table(self, table: Table) -> Iterator[Item | Reject]:
        def item_of(numbered: tuple[int, dict[str, Any]]) -> Item:
            number, values = numbered
            return self._item(_Row.model_validate(values), *table.files(number, "image"))

        yield from items_or_rejects(self.name, table.named_rows(), item_of)

    def _item(self, row: _Row, picture: OpenFile) -> Item:
        choices = _options(row.options)
        return Item(
            id=str(row.index),
            benchmark=self.name,
            load_images=images([picture], f"{self.name} {row.index}"),
            question=row.question,
            choices=choices,
            answer=by_letter(row.answer, choices),
            category="",
            group=str((row.index + 1) // 2),
        )

    def aggregate(self, correct: Mapping[str, float], items: Sequence[ItemMeta]) -> dict[str, float]:
        """The authors count pairs of which both are right, the paper single questions."""
        return aggregation.named(
            authors=aggregation.whole_groups(correct, items), paper=aggregation.over_items(correct, items)
        )


def _csv_rows(reader: csv.DictReader[str], path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        for values in reader:
            yield f"line {reader.line_num}", values
    except csv.Error as error:
        raise ValueError(f"{path} after line {reader.line_num}: no CSV ({error})") from error


def _options(text: str) -> tuple[str, ...]:
    """The texts of "(a) Open (b) Closed"."""
    before, options = split_options(text)
    if before or not options:
        raise ValueError(f"options {text!r} are not (a) ... (b) ...")
    return options
