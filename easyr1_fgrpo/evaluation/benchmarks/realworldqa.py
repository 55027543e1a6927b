"""RealWorldQA: pictures from cars and daily life (x.ai, 2024).

Hub `xai-org/RealworldQA`, CC BY-ND 4.0, `data/test-*.parquet`, 765 rows; `lmms-lab/RealWorldQA` has the same columns.
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
from easyr1_fgrpo.published.option_fields import by_letter
from easyr1_fgrpo.published.options import split_options
from easyr1_fgrpo.published.pictures import images

COLUMNS = ("image", "question", "answer")
ASKS_FOR_LETTER = "Please answer directly with only the letter of the correct option and nothing else."
ASKS_FOR_WORD = "Please answer directly with a single word or number."


class _Row(BaseModel):
    question: str
    answer: str


class RealWorldQa:
    """Every question ends with one of two instructions, which tell letters from free answers ("Yes", "0", "Downhill").

    The instruction is taken off, as it forbids reasoning; options before it (`A. text` lines) become choices. Rows have
    no id and no category of their own: their number is taken, and which of the two instructions they end with.
    """

    name = "realworldqa"
    hub_id = "xai-org/RealworldQA"
    n_expected = 765

    def load(self, location: str | Path | None = None) -> Iterator[Item | Reject]:
        """From a parquet file or a folder with `data/test-*.parquet`."""
        patterns = ["data/test-*.parquet", "test-*.parquet"]
        table = Table(files_in(local_copy(location, self.hub_id, patterns), patterns), COLUMNS)
        yield from items_or_rejects(self.name, table.named_rows(), lambda row: self._item(table, *row))

    def _item(self, table: Table, number: int, values: dict[str, Any]) -> Item:
        row = _Row.model_validate(values)
        question, choices = _question_and_choices(row.question)
        return Item(
            id=str(number),
            benchmark=self.name,
            load_images=images(table.files(number, "image"), f"{self.name} {number}"),
            question=question,
            choices=choices,
            answer=by_letter(row.answer, choices) if choices else row.answer.strip(),
            category="multiple choice" if choices else "free answer",
        )

    def aggregate(self, correct: Mapping[str, float], items: Sequence[ItemMeta]) -> dict[str, float]:
        """Over items; the authors define no other number."""
        accuracy = aggregation.over_items(correct, items)
        return aggregation.named(authors=accuracy, paper=accuracy)


def _question_and_choices(text: str) -> tuple[str, tuple[str, ...]]:
    if ASKS_FOR_WORD in text:
        return text.replace(ASKS_FOR_WORD, "").strip(), ()
    question, choices = split_options(text.replace(ASKS_FOR_LETTER, ""))
    if ASKS_FOR_LETTER in text and not choices:
        raise ValueError("the question asks for a letter and lists no options")
    return question, choices
