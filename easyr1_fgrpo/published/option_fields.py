"""Options as fields hold them: listed, under letters, in one cell; and answers by letter."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any

from easyr1_fgrpo.published.options import ANY_MARK, letter_of, split_options

_LETTER = re.compile(r"\(?([A-Za-z])[).:]?")


def by_letter(letter: str, choices: Sequence[str]) -> str:
    """The option that "C", "(C)", "c)", "C." or "**C**" names.

    Raises:
        ValueError: when it is no letter, or that of no option.
    """
    match = _LETTER.fullmatch(unicodedata.normalize("NFKC", letter).strip(" \t\n*"))
    index = ascii_uppercase.index(match[1].upper()) if match else len(choices)
    if index >= len(choices):
        raise ValueError(f"answer {letter!r} names none of the {len(choices)} choices")
    return choices[index]


def is_letter(answer: str) -> bool:
    """Whether an answer is an option's letter, like `(B)`."""
    return re.fullmatch(r"\(?[A-Za-z]\)?[.:]?", unicodedata.normalize("NFKC", answer).strip()) is not None


def listed_options(value: Mapping[str, Any] | Sequence[Any]) -> list[str]:
    """The options of a field in the order of their letters; blank ones at the end are none.

    Args:
        value: texts from A on, or an object `{"B": "right", "A": "left"}`, or ARC's two lists, `text` and `label`.

    Raises:
        ValueError: for a blank option before another one, which would give that one another letter; for an object whose
            names are no letters.
    """
    if isinstance(value, Mapping) and {*value} == {"text", "label"}:
        labels, texts = ([str(part) for part in value[name] or ()] for name in ("label", "text"))
        numbered = labels == [str(number) for number in range(1, len(labels) + 1)]
        value = texts if numbered else dict(zip(labels, texts, strict=True))
    if isinstance(value, Mapping):
        by_name = {str(name).strip(): text for name, text in value.items()}
        if len(by_name) < len(value) or not all(name in ascii_uppercase and len(name) == 1 for name in by_name):
            raise ValueError(f"options are under {', '.join(map(str, value))}, not under A, B, ...")
        value = [by_name.get(letter) for letter in ascii_uppercase]
    texts = ["" if is_missing(text) else str(text).strip() for text in value]
    while texts and not texts[-1]:
        texts.pop()
    if "" in texts:
        raise ValueError(f"option {_letter_at(texts.index(''))} is blank and {_letter_at(len(texts) - 1)} is not")
    return texts


def is_missing(value: Any) -> bool:
    """Whether an option or a hint is none: blank, or what pandas writes for that."""
    return value is None or str(value).strip() in ("", "nan", "NaN")


def _letter_at(index: int) -> str:
    return ascii_uppercase[index] if index < len(ascii_uppercase) else f"number {index + 1}"


def options_in_a_cell(text: str) -> list[str]:
    """The options that one cell holds: lettered, `red | blue`, or one a line.

    Raises:
        ValueError: for lines with bars in them.
    """
    before, options = split_options(text)
    if options and not before:
        return list(options)
    if "|" in text and len(text.split("\n")) > 1:
        raise ValueError("options are apart by lines and by bars")
    return text.split("|") if "|" in text else [line for line in text.splitlines() if line.strip()]


def with_hint(question: str, hint: Any) -> str:
    """The question below its hint, as VLMEvalKit asks; itself where there is none."""
    return question if is_missing(hint) else f"Hint: {hint}\n{question}"


def unlettered(options: Sequence[str]) -> tuple[str, ...]:
    """Options without the letters that all of them begin with, in order: `A. left`, `B. right`; else as they are.

    Raises:
        ValueError: when they begin with letters in another order, or one with that of another option.
    """
    if len(options) < 2:
        return tuple(options)
    marks = [ANY_MARK.match(option) for option in options]
    if all(marks):
        letters = "".join(letter_of(mark) for mark in marks if mark)
        if letters != ascii_uppercase[: len(options)]:
            raise ValueError(f"options are lettered {', '.join(letters)}, not A, B, ... in order")
        return tuple(option[mark.end() :].strip() for option, mark in zip(options, marks, strict=True) if mark)
    for index, mark in enumerate(marks):
        letter = letter_of(mark) if mark else ""
        if mark and letter in ascii_uppercase[: len(options)] and letter != _letter_at(index):
            raise ValueError(f"option {_letter_at(index)} begins with another letter: {options[index]!r}")
    return tuple(options)
