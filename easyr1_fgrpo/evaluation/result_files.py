"""Files of answers as other people's tools leave them: which of their fields is which of ours, and what they hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import count, islice
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase
from typing import Any

from easyr1_fgrpo.published.option_fields import listed_options, options_in_a_cell, with_hint
from easyr1_fgrpo.published.options import split_options
from easyr1_fgrpo.published.record import Malformed, written_value
from easyr1_fgrpo.published.records import filled_lines, read_records

FIELDS = (
    *("question", "response", "ground_truth", "images", "choices"),
    *("id", "category", "group", "benchmark", "boxes", "truncated"),
)
"""What a record may hold, under these names or others; the first four are needed."""

TEXTS = frozenset({"question", "response", "ground_truth"})
LISTS = frozenset({"images", "choices", "boxes"})
"""Of them: what a blank cell is a value of, and what may be several."""

LOOKED_AT = 100
"""Records by which the tool that wrote a file is known."""

VLMEVALKIT = {
    "response": ("prediction",),
    "ground_truth": ("answer",),
    "id": ("index",),
    "images": ("image_path", "image", "index"),
    "choices": ("choices",),
}
"""Fields of a result file of VLMEvalKit, the likelier ones first; options are in columns A, B, ..., pictures are files
named by their index."""

LMMS_EVAL = {
    "question": ("doc.question", "doc.problem", "question", "input"),
    "response": ("resps", "filtered_resps"),
    "ground_truth": ("target",),
    "id": ("doc_id",),
    "images": ("images", "image_paths", "image_path", "doc_id"),
    "choices": ("doc.options", "doc.choices", "choices"),
}
"""Of a `*_samples_*.jsonl` of lmms-eval, which keeps the unfiltered response only where a filter changed it."""


PROMPT = "input"
"""Lmms-eval's field of all that the model was asked, options and instruction in it."""

OPTION_COLUMNS = ("A", "doc.A", "doc.choice_a", "choice_a", "doc.option_a", "option_a")
"""How the field of option A may be called where each option has its own."""


def named_records(path: Path) -> Iterator[tuple[str, Mapping[str, Any] | str]]:
    """The records of a file with their names ("line 3"), or what is wrong with one.

    Args:
        path: JSON lines, a JSON array, an object with one list of records, CSV, TSV, parquet or xlsx.

    Raises:
        ValueError: when the file cannot be read.
    """
    what, numbers = ("line", filled_lines(path)) if path.suffix.lower() == ".jsonl" else ("row", count(1))
    for number, record in zip(numbers, read_records([path]), strict=False):
        yield f"{what} {number}", f"no JSON object ({record.detail})" if isinstance(record, Malformed) else record


def theirs(path: Path, said: Mapping[str, str]) -> dict[str, str]:
    """Their field for each of ours where it is another one: as said, else as the tool that wrote the file names it.

    Returns:
        Paths, see `value_at`; of `a|b` the first that a record has a value for.

    Raises:
        ValueError: when the file cannot be read.
    """
    records = [record for _, record in islice(named_records(path), LOOKED_AT) if isinstance(record, Mapping)]
    fields = {field for record in records for field in record}
    known: Mapping[str, tuple[str, ...]] = {}
    if {"resps", "filtered_resps"} & fields and "target" in fields:
        known = LMMS_EVAL
    elif {"prediction", "index", "answer"} <= fields:
        known = VLMEVALKIT
    found = {}
    for ours, names in known.items():
        if there := [name for name in names if any(_is_there(record, name) for record in records)]:
            found[ours] = "|".join(there)
    if "choices" not in found and "choices" not in fields and (columns := _option_columns(records)):
        found["choices"] = columns
    if known is LMMS_EVAL and "choices" not in found and _only_prompt_has_options(records, found.get("question", "")):
        found["choices"] = PROMPT
    hint = "hint" if known is VLMEVALKIT else "doc.hint"
    if known and any(_is_there(record, hint) for record in records):
        found["hint"] = hint
    return {ours: name for ours, name in {**found, **said}.items() if name != ours or ours == "hint"}


def _option_columns(records: Sequence[Mapping[str, Any]]) -> str:
    """The fields from A to the last letter's, under a name of `OPTION_COLUMNS`; "" where there are none."""
    for name in OPTION_COLUMNS:
        letters = ascii_uppercase if name[-1].isupper() else ascii_lowercase
        paths = [name[:-1] + letter for letter in letters]
        there = [number for number, path in enumerate(paths) if any(_is_there(record, path) for record in records)]
        if there[:2] == [0, 1]:
            return ",".join(paths[: there[-1] + 1])
    return ""


def _only_prompt_has_options(records: Sequence[Mapping[str, Any]], question: str) -> bool:
    def with_options(path: str) -> bool:
        texts = [_first_of(record, path)[1] for record in records]
        return any(isinstance(text, str) and split_options(text)[1] for text in texts)

    return with_options(PROMPT) and not with_options(question)


def ours_of(record: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a record under our names; those it lacks are left out, a response without text is empty.

    Raises:
        ValueError: for a field with several values where one should be, and options whose letters cannot be told.
    """
    found: dict[str, Any] = {}
    for ours in FIELDS:
        path, value = _first_of(record, names.get(ours, ours))
        if ours == "choices" and "," in path:
            value = [value_at(record, name) for name in path.split(",")]
        if ours in LISTS or (ours == "ground_truth" and _is_list_of_texts(_listed(value))):
            value = _listed(value)
        value = value if ours in LISTS else _single(value, path)
        if ours == "choices" and isinstance(value, str):
            value = list(split_options(value)[1]) if path == PROMPT else options_in_a_cell(value)
        if ours == "choices" and isinstance(value, list | Mapping):
            value = listed_options(value)
        if ours in TEXTS and _is_blank(value) and _is_there(record, path):
            value = ""
        if value is not None and (ours in TEXTS or not _is_blank(value)):
            found[ours] = value
    if "hint" in names and found.get("question"):
        found["question"] = with_hint(found["question"], value_at(record, names["hint"]))
    return found


def _first_of(record: Mapping[str, Any], paths: str) -> tuple[str, Any]:
    """The first of several paths that has a value, else the first one; and its value."""
    each = [(path, value_at(record, path)) for path in paths.split("|")]
    return next((found for found in each if not _is_blank(found[1])), each[0])


def value_at(record: Any, path: str) -> Any:
    """The value under a path: `a.b` is b of the object a, `a.0` the first of the list a; None where there is none."""
    if isinstance(record, Mapping) and path in record:
        return record[path]
    first, _, rest = path.partition(".")
    inner: Any = None
    if isinstance(record, Mapping):
        inner = record.get(first)
    elif isinstance(record, list) and first.isdecimal() and int(first) < len(record):
        inner = record[int(first)]
    return value_at(inner, rest) if rest else inner


def _is_there(record: Mapping[str, Any], path: str) -> bool:
    """Whether a field is there, be it without a value."""
    before, _, last = path.rpartition(".")
    holder = value_at(record, before) if before else record
    return path in record or (isinstance(holder, Mapping) and last in holder) or value_at(record, path) is not None


def _single(value: Any, path: str) -> Any:
    """The only element of lists in lists."""
    while isinstance(value, list):
        if len(value) > 1:
            raise ValueError(f"{path} holds {len(value)} values: name one, such as {path}.0")
        value = value[0] if value else None
    return value


def _listed(value: Any) -> Any:
    """A list or an object, also one that a cell holds as text."""
    if isinstance(value, int | float):  # a picture named by a number
        return [value]
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        with suppress(ValueError):
            return written_value(value)
    return value


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())
