"""A record of anybody's file -> an item: question, options, answer, pictures, boxes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.own.answers import Form, right_option
from data_prep.own.columns import Columns, value_of
from data_prep.sources import Item, Reject
from data_prep.sources.boxes import Box, BoxError, Convention, as_boxes
from data_prep.sources.conversations import TURNS, Record, each_question, is_turn, said, speaker
from data_prep.sources.pictures import picture_bytes
from data_prep.sources.text import (
    answer_by_number,
    clean_answer,
    clean_choice,
    clean_question,
    has_marks,
    no_special,
    split_options,
    without_marks,
)
from easyr1_fgrpo.published import option_fields as as_published
from easyr1_fgrpo.published.record import written_value

BOX_FORMS: dict[str, tuple[Convention, bool]] = {
    f"{name}{suffix}": (convention, bool(suffix))
    for name, convention in (
        ("pixels", Convention.PIXELS),
        ("thousandths", Convention.THOUSANDTHS),
        ("unit", Convention.UNIT),
    )
    for suffix in ("", "-xywh")
}
"""How boxes may be written: in pixels of the file, thousandths or fractions of its sides; x1, y1, x2, y2, or with -xywh
x, y, width, height."""

_PLACEHOLDER = re.compile(r"<ref-object>|<bbox>(?![^<]*</bbox>)")
"""Ms-swift fills these in from a column `objects`."""

_BOX_KEYS = ("bbox", "bbox_2d", "box")


@dataclass(frozen=True)
class Reader:
    """Reads records.

    Attributes:
        columns: which column is what.
        root: the resolved folder of pictures that records name.
        form: how answers name options.
        box_form: a key of `BOX_FORMS`; "" where there are no boxes.
    """

    columns: Columns
    root: Path
    form: Form = Form.TEXT
    box_form: str = ""

    def questions(self, record: Record) -> list[Record | Reject]:
        """A record a question: of a conversation each of its questions, else the record."""
        columns = self.columns
        return each_question(record, columns.question) if columns.question == columns.answer else [record]

    def item(self, record: Record) -> Item:
        """What a record says.

        Raises:
            Reject: when it cannot be used.
        """
        question, choices, answer = self.parts(record)
        if choices:
            answer = right_option(answer, choices, self.form)
        elif as_published.is_letter(answer):
            raise Reject("a letter without options", f"{answer!r} to {question!r}")
        else:
            answer = clean_answer(answer)
        convention, _ = BOX_FORMS[self.box_form] if self.box_form else (Convention.PIXELS, False)
        return Item(
            question=question,
            answer=answer,
            choices=choices,
            images=tuple(picture_bytes(picture, self.root) for picture in self.pictures(record)),
            boxes=self._boxes(record),
            convention=convention,
        )

    def parts(self, record: Record) -> tuple[str, tuple[str, ...], str]:
        """Question, options (none for a free answer) and the answer as it is written.

        Raises:
            Reject: when one is missing, or the options inside the question are not those of their column.
        """
        text = _text(_value(record, self.columns.question, "question", "user"))
        if self.columns.hint:
            text = as_published.with_hint(text, value_of(record, self.columns.hint))
        if has_marks(text):
            text = without_marks(text, len(self.pictures(record)))
        question, inside = split_options(text)
        given = _choices(record, self.columns.choices)
        if given and inside and given != inside:
            raise Reject("options in the question are not the column's", f"{list(inside)}, column {list(given)}")
        value = _value(record, self.columns.answer, "answer", "assistant")
        answer = no_special(_text(_listed_in_a_cell(value)))
        if found := _PLACEHOLDER.search(f"{text} {answer}"):
            raise Reject("a placeholder in the text", found[0])
        if self.form is Form.TEXT:
            answer = answer_by_number(answer, text, inside)
        return question or clean_question(text), given or inside, answer

    def pictures(self, record: Record) -> list[Any]:
        """The pictures of a record, as they are written, those of several columns in order."""
        values = [value_of(record, column) for column in self.columns.image.split(",")]
        pictures = [picture for value in values for picture in _pictures_in(value)]
        if not pictures:
            raise Reject("no image")
        return pictures

    def _boxes(self, record: Record) -> tuple[Box, ...]:
        value = value_of(record, self.columns.boxes) if self.box_form else None
        if isinstance(value, str):
            value = _literal(value, "boxes") if value.strip() else None
        if value is None or value == []:
            return ()
        try:
            boxes = as_boxes(_bare(value))
        except BoxError as error:
            raise Reject("box cannot be used", str(error)) from None
        _, sized = BOX_FORMS[self.box_form]
        return tuple((x, y, x + w, y + h) for x, y, w, h in boxes) if sized else boxes


def _pictures_in(value: Any) -> list[Any]:
    if isinstance(value, str) and value.startswith("["):
        value = _literal(value, "image")
    return value if isinstance(value, list) else [value] if value not in (None, "") else []


def _value(record: Record, column: str, part: str, who: str = "") -> Any:
    value = value_of(record, column)
    if who and isinstance(value, list) and (column in TURNS or (value and is_turn(value[0]))):
        value = _turn(value, who)
    if value is None or value in ("", []):
        raise Reject(f"no {part}")
    return value


def _turn(turns: list[Any], who: str) -> Any:
    """What a speaker says in a conversation of one question."""
    theirs = [turn for turn in turns if speaker(turn) == who]
    if len(theirs) > 1:
        raise Reject("a conversation of several questions", f"{len(theirs)} turns of {who}")
    return said(theirs[0]) if theirs else None


def _text(value: Any) -> str:
    """A text, a number, or the text parts of a message; of a list its only element."""
    if isinstance(value, list):
        parts = [part.get("text", part) if isinstance(part, dict) else part for part in value]
        texts = [part for part in parts if part is not None]
        if len(texts) != 1:
            raise Reject("several texts where one should be", repr(texts))
        value = texts[0]
    if not isinstance(value, str | int | float):
        raise Reject("neither text nor number", type(value).__name__)
    if isinstance(value, float) and value.is_integer():  # pandas makes numbers with gaps floats
        value = int(value)
    return str(value)


def _choices(record: Record, columns: tuple[str, ...]) -> tuple[str, ...]:
    values: Any = [value_of(record, column) for column in columns]
    if len(columns) == 1:
        (values,) = values
        if isinstance(values, str):
            is_list = values.lstrip()[:1] in ("[", "{")
            values = _literal(values, "choices") if is_list else _in_a_cell(values)
    if not isinstance(values, list | dict):
        return ()
    try:
        given = [clean_choice(choice) for choice in as_published.listed_options(values)]
        return as_published.unlettered(given)
    except Reject:
        raise
    except ValueError as error:
        raise Reject("options in disorder", str(error)) from None


def _in_a_cell(text: str) -> list[str]:
    try:
        return as_published.options_in_a_cell(text)
    except ValueError as error:
        raise Reject("options in disorder", str(error)) from None


def _listed_in_a_cell(value: Any) -> Any:
    """Texts that a cell lists, `['red', 'Red']`, as a list; anything else as it is."""
    if not isinstance(value, str) or not value.strip().startswith("["):
        return value
    try:
        texts = _literal(value, "answer")
    except Reject:
        return value
    return texts if isinstance(texts, list) and all(isinstance(text, str) for text in texts) else value


def _literal(text: str, part: str) -> Any:
    try:
        return written_value(text)
    except ValueError:
        raise Reject(f"{part} cannot be read", text) from None


def _bare(value: Any) -> Any:
    """Boxes without what is said about them: `[{"bbox": [1, 2, 3, 4], "label": "cup"}]` -> `[[1, 2, 3, 4]]`."""
    if isinstance(value, Mapping):
        return next((value[key] for key in _BOX_KEYS if key in value), value)
    return [_bare(part) for part in value] if isinstance(value, list | tuple) else value
