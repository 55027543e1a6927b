"""What a file of questions about pictures holds: its records, which column is what, how answers name options."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple

from data_prep.own.answers import Form, guess_form
from data_prep.own.columns import NONE, Columns, find_columns, value_of
from data_prep.own.record import BOX_FORMS, Reader
from data_prep.own.shared_pictures import with_shared_pictures
from data_prep.sources import Item, Reject
from data_prep.sources.conversations import Record, plain_turns
from data_prep.sources.pictures import picture_bytes
from easyr1_fgrpo.published.files import find_files, matching
from easyr1_fgrpo.published.record import Malformed

LOOKED_AT = 200
"""Records of which columns and the form of answers are guessed."""

TRAIN, VAL = "train", "val"
_SPLITS = {"training": TRAIN, "validation": VAL, "valid": VAL, "dev": VAL}
_SPLIT_IN_NAME = re.compile(r"(?<![a-z])(train|training|validation|valid|val|dev|test)(?![a-z])")
_PATTERNS = ("**/*.parquet", "**/*.jsonl", "**/*.json", "**/*.csv", "**/*.tsv", "**/*.xlsx")


@dataclass(frozen=True)
class Wishes:
    """What the user says; everything else is guessed.

    Attributes:
        columns: part -> column, see `find_columns`.
        answers: how answers name options; None to guess.
        box_form: a key of `BOX_FORMS`.
        val: share of the rows that becomes `val` where there are no splits.
        seed: of that choice.
    """

    columns: Mapping[str, str]
    answers: Form | None = None
    box_form: str = ""
    val: float = 0.1
    seed: int = 0


@dataclass(frozen=True)
class Found:
    """What was made out about a file, to be shown before anything is written.

    Attributes:
        files: the files.
        left: other files of records in the same folder, which are not read.
        columns: see `Columns`.
        reader: reads their records.
        about_answers: how answers name options, in words.
        split_by: what says the split of a record, in words; "" where nothing does.
        example: the first record that can be used.
    """

    files: Sequence[Path]
    left: Sequence[Path]
    columns: Columns
    reader: Reader
    about_answers: str
    split_by: str
    example: Item


class Entry(NamedTuple):
    """A question on its way: its number, its record, the file, and its split, "" where it has none."""

    number: int
    record: Record | Reject
    source: str
    split: str


def look(location: str, images: Path | None, wishes: Wishes) -> Found:
    """Find the files and make out their columns.

    Args:
        location: a file, a folder, or a hub id; with `@part` the files of one part.
        images: the folder of pictures that records name by path; None for the records' folder.
        wishes: see `Wishes`.

    Raises:
        ValueError: when nothing is found or something must be said; it names the option.
    """
    files = _files(location)
    first = list(islice((record for file in files for record in _records(file)), LOOKED_AT))
    records: Sequence[Record] = [record for record in first if not isinstance(record, Reject)]
    if not records:
        why = next((f" ({record.detail})" for record in first if isinstance(record, Reject)), "")
        raise ValueError(f"{files[0]}: no record can be read{why}")
    root = (images or files[0].parent).resolve()
    if not root.is_dir():
        raise ValueError(f"--images {images}: no such folder" + (", unpack it" if root.exists() else ""))
    columns = find_columns(records, wishes.columns, lambda value: _is_picture(value, root))
    _check_boxes(columns, records, wishes.box_form)
    reader = Reader(columns, root)
    asked = [question for record in records for question in reader.questions(record)]
    form, about_answers = _form(reader, asked, wishes.answers)
    reader = Reader(columns, root, form, wishes.box_form)
    items = [item_or_reject(reader, question) for question in asked]
    example = next((item for item in items if isinstance(item, Item)), None)
    if example is None:
        rejects = [item for item in items if isinstance(item, Reject)]
        first_of = {reject.reason: str(reject) for reject in reversed(rejects)}
        reasons = most(Counter(first_of[reject.reason] for reject in rejects))
        raise ValueError(f"{files[0]}: none of the first {len(asked)} questions can be used: {reasons}")
    by_name = "the files' names" if any(map(_split_of, files)) and len(files) > 1 else ""
    split_by = f"column {columns.split}" if columns.split else by_name
    return Found(files, _left(location, files), columns, reader, about_answers, split_by, example)


def entries(found: Found) -> Iterator[Entry]:
    """The questions of all files with their splits, by the column or, without one, by the names of several files."""
    number = count()
    column = found.columns.split
    for file in found.files:
        by_name = _split_of(file) if len(found.files) > 1 and not column else ""
        for record in _records(file):
            value = by_name if isinstance(record, Reject) or not column else value_of(record, column)
            split = "" if value is None else str(value).strip().lower()
            for question in [record] if isinstance(record, Reject) else found.reader.questions(record):
                yield Entry(next(number), question, file.name, _SPLITS.get(split, split))


def item_or_reject(reader: Reader, record: Record | Reject) -> Item | Reject:
    """What a record says, or why it cannot be used."""
    try:
        return record if isinstance(record, Reject) else reader.item(record)
    except Reject as reject:
        return reject


def most(reasons: Counter[str]) -> str:
    """The three most frequent reasons with their counts."""
    return "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common(3))


# ---------------------------------------------------------------------- what the first records tell


def _records(file: Path) -> Iterator[Record | Reject]:
    for record in with_shared_pictures(file):
        yield Reject("malformed record", record.detail) if isinstance(record, Malformed) else plain_turns(record)


def _files(location: str) -> list[Path]:
    path, at, part = location.rpartition("@")
    if not at or Path(location).expanduser().exists():
        return find_files(location, _PATTERNS)
    return find_files(path, [f"**/{part}*{Path(pattern).suffix}" for pattern in _PATTERNS])


def _left(location: str, files: Sequence[Path]) -> list[Path]:
    folder = Path(location).expanduser()
    there = {path for pattern in _PATTERNS for path in matching(folder, [pattern])} if folder.is_dir() else set()
    return sorted(there - {*files})


def _split_of(file: Path) -> str:
    found = _SPLIT_IN_NAME.search(file.name.lower())
    return found[1] if found else ""


def _check_boxes(columns: Columns, records: Sequence[Any], box_form: str) -> None:
    if columns.boxes and not box_form:
        seen = next((value for record in records if (value := value_of(record, columns.boxes))), None)
        raise ValueError(
            f"column {columns.boxes} holds boxes like {json.dumps(seen, default=str)[:80]}: say how they are written, "
            f"--box-form {', '.join(BOX_FORMS)}; or --boxes {NONE}"
        )
    if box_form and not columns.boxes:
        raise ValueError(f"--box-form {box_form}: no column holds boxes; say --boxes COLUMN")


def _is_picture(value: Any, root: Path) -> bool:
    try:
        return all(picture_bytes(part, root) for part in (value if isinstance(value, list) and value else [value]))
    except Reject:
        return False


def _form(reader: Reader, records: Sequence[Record | Reject], said: Form | None) -> tuple[Form, str]:
    answered = []
    for record in records:
        if isinstance(record, Reject):
            continue
        try:
            _, choices, answer = reader.parts(record)
        except Reject:
            continue
        if choices:
            answered.append((answer, choices))
    if not answered:
        return Form.TEXT, "free answers, compared as text (case, spaces and full stops do not count)"
    form, fits = (said, len(answered)) if said else guess_form(answered)
    words = {
        Form.TEXT: "the option's text or letter",
        Form.LETTER: "the option's letter",
        Form.FROM_0: "the option's number, from 0",
        Form.FROM_1: "the option's number, from 1",
    }
    return form, f"{words[form]} ({'as said' if said else f'fits {fits} of {len(answered)} looked at'})"
