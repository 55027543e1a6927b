"""Which column of a file plays which part: said by the user, else known by its name, else by what it holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Any

from data_prep.sources.conversations import TURNS, Record
from easyr1_fgrpo.normal_form import same_options

NONE = "none"
"""What a user says for a part that no column shall play."""

NAMES: dict[str, tuple[str, ...]] = {
    "question": ("question", "problem", "query", "prompt", "instruction", "text"),
    "answer": (
        *("answer", "correct_answer", "multiple_choice_answer", "answerkey", "answers", "correct"),
        *("ground_truth", "gt", "solution", "label", "target", "reward_model.ground_truth", "output", "response"),
    ),
    "image": (
        *("image", "images", "image_bytes", "image_path", "image_file", "file_name", "filename", "img", "picture"),
        *("image_id", "imageid"),
    ),
    "choices": ("choices", "options", "candidates"),
    "boxes": ("boxes", "bbox", "bboxes", "box", "bboxs", "bbox_2d", "target_instances"),
    "hint": ("hint",),
    "split": ("split",),
}
"""Names by which a column is known, the likelier ones first, in any case."""

_NUMBERED = re.compile(r"(image|img|picture|image_path|image_file)_?(\d*)", re.IGNORECASE)

NEEDED = ("question", "answer", "image")


@dataclass(frozen=True)
class Columns:
    """Columns by the part they play; "" where there is none. A dotted name goes into objects.

    Attributes:
        question, answer, image: what every record has; pictures in several columns with commas between.
        choices: one column with all options, or one column an option.
        boxes: of what the question is about.
        hint: what a question says before it asks.
        split: the split a record belongs to.
        reasons: by part: how the column was found.
    """

    question: str
    answer: str
    image: str
    choices: tuple[str, ...] = ()
    boxes: str = ""
    hint: str = ""
    split: str = ""
    reasons: Mapping[str, str] = field(default_factory=dict)


def find_columns(records: Sequence[Record], said: Mapping[str, str], is_picture: Callable[[Any], bool]) -> Columns:
    """Choose the columns.

    Args:
        records: the first ones of the file.
        said: part -> column, as the user names them; `none` for a part that no column shall play, options in several
            columns with commas between.
        is_picture: whether a value is a picture, or names one that is there.

    Raises:
        ValueError: when a part that is needed has no column, or a named one is not there; it names the columns.
    """
    names = list(dict.fromkeys(name for record in records for name in _names(record)))
    found: dict[str, str] = {}
    reasons: dict[str, str] = {}
    for part in NAMES:
        if column := said.get(part):
            found[part] = "" if column == NONE else _present(part, column, names)
            reasons[part] = "as said"
        elif column := _by_name(part, names):
            found[part], reasons[part] = column, "by its name"
    _by_values(records, names, found, reasons, is_picture)
    for part in NEEDED:
        if not found.get(part):
            raise ValueError(f"no column is known for the {part}; there are {', '.join(names)}: say --{part} COLUMN")
    image = found["image"]
    if "." in image and image != said.get("image") and is_picture(image):
        raise ValueError(f"the first line is a record, its {image!r} a picture: write a line of column names above it")
    choices = tuple(filter(None, found.pop("choices", "").split(",")))
    if not choices and not said.get("choices") and (column := _holding_answers(records, names, found)):
        raise ValueError(f"column {column} holds lists with the answer in them: say --choices {column}, or {NONE}")
    return Columns(**found, choices=choices, reasons=reasons)


def value_of(record: Record, column: str) -> Any:
    """A column's value in a record, None where it has none; `a.b` is b of the object a."""
    if column in record:
        return record[column]
    first, _, rest = column.partition(".")
    inner = record.get(first) if rest else None
    return value_of(inner, rest) if isinstance(inner, dict) else None


def _names(record: Record) -> list[str]:
    """The columns of a record, the fields of objects in it too; a picture's own fields are none."""
    nested = {name: value for name, value in record.items() if isinstance(value, dict) and "bytes" not in value}
    return [*record, *(f"{name}.{inner}" for name, value in nested.items() for inner in value)]


def _present(part: str, column: str, names: Sequence[str]) -> str:
    for name in column.split(",") if part in ("choices", "image") else [column]:
        if name not in names:
            raise ValueError(f"--{part} {column}: no column {name}; there are {', '.join(names)}")
    return column


def _by_name(part: str, names: Sequence[str]) -> str:
    by_name = {name.strip().lower(): name for name in reversed(names)}
    if part == "image" and (numbered := _numbered(names)):
        return numbered
    if found := next((by_name[name] for name in NAMES[part] if name in by_name), ""):
        return found
    if part in ("question", "answer"):
        return next((by_name[name] for name in TURNS if name in by_name), "")
    lettered = [letter for letter in ascii_uppercase if letter in names]
    if part == "choices" and len(lettered) >= 2 and "".join(lettered) == ascii_uppercase[: len(lettered)]:
        return ",".join(lettered)
    return ""


def _holding_answers(records: Sequence[Record], names: Sequence[str], found: Mapping[str, str]) -> str:
    """A column that may be the options under another name: lists of different texts, the answer among them; else ""."""

    def holds(record: Record, name: str) -> bool:
        texts, answer = value_of(record, name), value_of(record, found["answer"])
        is_list = isinstance(texts, list) and len(texts) > 1 and all(isinstance(text, str) for text in texts)
        return is_list and answer in texts and not same_options(texts)

    free = [name for name in names if name not in found.values()]
    return next((name for name in free if all(holds(record, name) for record in records)), "")


def _numbered(names: Sequence[str]) -> str:
    """Columns of one picture each, `image_1`, `image_2` or `image`, `image2`; "" where there are not several."""
    found = {name: found for name in names if (found := _NUMBERED.fullmatch(name))}
    bases = {match[1].lower() for match in found.values()}
    if len(found) < 2 or len(bases) > 1:
        return ""
    return ",".join(sorted(found, key=lambda name: int(found[name][2] or 1)))


def _by_values(
    records: Sequence[Record],
    names: Sequence[str],
    found: dict[str, str],
    reasons: dict[str, str],
    is_picture: Callable[[Any], bool],
) -> None:
    """Fill in what is needed and has no column yet, where exactly one other column fits."""
    tests: dict[str, tuple[Callable[[Any], bool], str]] = {
        "image": (is_picture, "its values are pictures that are there"),
        "question": (lambda value: isinstance(value, str) and "?" in value, "its values ask"),
        "answer": (lambda value: value is not None, "the one that is left"),
    }
    for part, (fits, reason) in tests.items():
        if part in found:
            continue
        taken = {name for column in found.values() for name in column.split(",")}
        fitting = [
            name
            for name in names
            if name not in taken and 2 * sum(fits(value_of(record, name)) for record in records) > len(records)
        ]
        if len(fitting) == 1:
            found[part], reasons[part] = fitting[0], reason
