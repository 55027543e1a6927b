"""An item of a source -> a row: choices in order, pictures as bytes, boxes in raw pixels, nothing of a benchmark."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from data_prep.normalise.decontaminate import Benchmarks
from data_prep.normalise.open_ended import AnswerPool, OpenEnded, check_length
from data_prep.sources import Item, Reject, Source
from data_prep.sources.boxes import BoxError, to_pixels
from data_prep.sources.pictures import Pictures, keep_bytes
from data_prep.sources.text import right_choice
from easyr1_fgrpo.rows import Row, explain
from easyr1_fgrpo.task_prompt import prompt_messages


@dataclass(frozen=True)
class Normaliser:
    """Turns the records of one source into rows.

    Attributes:
        source: what is read.
        seed: of the shuffled choices and drawn options; every row has a generator of its own, made of the seed, the
            source's name and the row's number.
        open_ended: what becomes of questions without choices.
        pictures: where paths of pictures lead.
        benchmarks: what must not come out.
        pool: where options are drawn from.
        split: of all rows; "train" is trained on.
    """

    source: Source
    seed: int = 0
    open_ended: OpenEnded = OpenEnded.KEEP
    pictures: Pictures = field(default_factory=lambda: Pictures(None))
    benchmarks: Benchmarks = field(default_factory=Benchmarks)
    pool: AnswerPool = field(default_factory=AnswerPool)
    split: str = "train"

    def row(self, number: int, item: Item) -> dict[str, Any]:
        """The row of an item, in the columns of `easyr1_fgrpo.rows.ROW_SCHEMA`, checked.

        Raises:
            Reject: when it cannot be used.
        """
        choices = self._choices(item, random.Random(f"{self.seed} {self.source.name} {number}"))
        answer = right_choice(item.answer, choices) if choices else item.answer
        encoded, opened = zip(*(keep_bytes(self.pictures.read(ref)) for ref in item.images), strict=True)
        width, height = opened[0].size
        if item.size not in (None, (width, height)):
            raise Reject("image of another size", f"{width} x {height}, the source says {item.size}")
        try:
            boxes = [to_pixels(box, item.convention, width, height) for box in item.boxes]
        except BoxError as error:
            raise Reject("box cannot be used", str(error)) from None
        self.benchmarks.check(item.question, opened)
        row = {
            "data_source": self.source.name,
            "prompt": prompt_messages(item.question, choices, len(encoded)),
            "images": [{"bytes": data} for data in encoded],
            "reward_model": {"style": "rule", "ground_truth": answer},
            "extra_info": {
                "index": number,
                "split": self.split,
                "question": item.question,
                "choices": list(choices),
                "source": self.source.name,
                "boxes": [list(box) for box in boxes],
                "width": width,
                "height": height,
                "dataset": item.dataset,
                "question_type": item.question_type,
                "licence": self.source.licence,
            },
        }
        try:
            Row.model_validate(row)
        except ValidationError as error:
            raise Reject("breaks the row schema", explain(error)) from None
        return row

    def _choices(self, item: Item, rng: random.Random) -> tuple[str, ...]:
        if not item.choices:
            if self.open_ended is OpenEnded.DROP:
                raise Reject("open-ended question")
            if self.open_ended is OpenEnded.TO_CHOICES:
                return self.pool.choices(item, rng)
            check_length(item.answer)
        return tuple(rng.sample(item.choices, len(item.choices))) if item.shuffle else item.choices
