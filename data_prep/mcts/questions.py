"""One question of the search: a row of the seeds, its pictures, and what the teacher is shown and asked."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

import jinja2
from PIL import Image
from pydantic import ValidationError

from data_prep.mcts.coordinates import Convention, Frame, PixelBudget
from data_prep.mcts.steps import Step, map_boxes
from data_prep.shards import read_rows
from easyr1_fgrpo.rewards.accuracy import answer_matches
from easyr1_fgrpo.rows import Row
from easyr1_fgrpo.task_prompt import user_text

COMPRESSION = 3
"""PNG level: half of the default level's time, files a few per cent larger."""

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._+-]")


@dataclass(frozen=True)
class Question:
    """A row as the search needs it.

    Attributes:
        name: `<source>-<index>`, unique among the rows.
        row: checked.
        digest: of everything in the row that a tree depends on.
    """

    name: str
    row: Row = field(repr=False)
    digest: str

    @property
    def text(self) -> str:
        """The question, its options below it."""
        return user_text(self.row.extra_info.question, self.row.extra_info.choices, 0)

    def right(self, answer: str) -> bool:
        """Whether an answer is, by exact match as in the rewards."""
        return answer_matches(answer, self.row.reward_model.ground_truth, self.row.extra_info.choices)

    def pictures(self) -> tuple[Image.Image, ...]:
        """Decoded, raw size.

        Raises:
            ValueError: when one is unreadable, of another size than the row says, or they differ in size: a box would
                not say which picture's pixels it is in.
        """
        pictures, info = self.row.open_images(), self.row.extra_info
        if sizes := {picture.size for picture in pictures} - {(info.width, info.height)}:
            width, height = min(sizes)
            raise ValueError(f"a picture has {width} x {height} pixels, extra_info says {info.width} x {info.height}")
        return pictures

    def frame(self, convention: Convention, budget: PixelBudget) -> Frame:
        """How a model writes boxes on the pictures.

        Raises:
            ValueError: for pictures that such models do not take.
        """
        raw = (self.row.extra_info.width, self.row.extra_info.height)
        return Frame(raw, budget.seen(raw), convention)


def question_names(rows: Path) -> list[str]:
    """Names of all questions in their order, without reading pictures.

    Raises:
        ValueError: when two rows have one name, or a row has none.
        FileNotFoundError: when there is no such file or folder.
    """
    row_of: dict[str, int] = {}
    for number, values in enumerate(read_rows(rows, ["data_source", "extra_info"])):
        name = _name(values)
        if name is None:
            raise ValueError(f"{rows} row {number}: has no extra_info.index")
        if name in row_of:
            raise ValueError(f"{rows} rows {row_of[name]} and {number} are both called {name} (source and index)")
        row_of[name] = number
    return list(row_of)


def read_questions(rows: Path) -> Iterator[tuple[str, Question | str]]:
    """Name and question of each row, in order; for a row that is none, what is wrong with it."""
    for values in read_rows(rows):
        name = str(_name(values))
        try:
            row = Row.model_validate(values)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            yield name, f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
        else:
            yield name, Question(name, row, _digest(row))


def messages(
    question: Question, frame: Frame, image_urls: Sequence[str], steps: Sequence[Step], left: int
) -> list[dict[str, Any]]:
    """What the teacher is asked for the next step.

    Args:
        question: the question.
        frame: how the teacher writes boxes.
        image_urls: of the pictures, from `data_url`.
        steps: taken so far, boxes in raw pixels.
        left: how many more steps there may be; at 0 the answer is asked for.
    """
    values = {
        "coordinates": frame.convention.value,
        "sizes": [frame.seen] * len(image_urls),
        "question": question.text,
        "steps": [map_boxes(step.text, frame.written) for step in steps],
        "left": left,
    }
    pictures = [{"type": "image_url", "image_url": {"url": url}} for url in image_urls]
    return [
        {"role": "system", "content": _rules(frame.convention)},
        {"role": "user", "content": [*pictures, {"type": "text", "text": _render("case", values)}]},
    ]


def data_url(picture: Image.Image, frame: Frame) -> str:
    """The picture as sent: at the size at which the teacher sees it, so its pixels are those of the picture sent."""
    seen = picture if picture.size == frame.seen else picture.resize(frame.seen, Image.Resampling.BICUBIC)
    file = BytesIO()
    seen.save(file, "PNG", compress_level=COMPRESSION)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _name(values: dict[str, Any]) -> str | None:
    info = values.get("extra_info") or {}
    index = info.get("index")
    source = info.get("source") or values.get("data_source") or ""
    return None if index is None else f"{_NOT_IN_NAMES.sub('_', source)[:100]}-{index}"


def _digest(row: Row) -> str:
    info = row.extra_info
    digest = hashlib.sha256(repr((info.question, info.choices, row.reward_model.ground_truth)).encode())
    for image in row.images:
        digest.update(hashlib.sha256(image.data).digest())
    return digest.hexdigest()[:16]


@lru_cache
def _rules(convention: Convention) -> str:
    return _render("rules", {"coordinates": convention.value})


def _render(block: str, values: dict[str, Any]) -> str:
    template = _template()
    return "".join(template.blocks[block](template.new_context(values))).strip()


@lru_cache(maxsize=1)
def _template() -> jinja2.Template:
    source = (files("data_prep.mcts") / "prompts" / "step.jinja").read_text(encoding="utf-8")
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(source)
