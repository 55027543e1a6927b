"""Files of answers as other people's tools leave them: which of their fields is which of ours, and what they hold."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from easyr1_fgrpo.published.records import Malformed, read_records

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


def named_records(path: Path) -> Iterator[tuple[str, Mapping[str, Any] | str]]:
    """The records of a file with their names ("line 3"), or what is wrong with one.

    Args:
        path: JSON lines, a JSON array, an object with one list of records, CSV, TSV, parquet or xlsx.

    Raises:
        ValueError: when the file cannot be read.
    """
    what = "line" if path.suffix == ".jsonl" else "row"
    for number, record in enumerate(read_records([path]), start=1):
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
    if (known is VLMEVALKIT or not known) and "choices" not in fields and {"A", "B"} <= fields:
        found["choices"] = ",".join(letter for letter in ascii_uppercase if letter in fields)
    return {ours: name for ours, name in {**found, **said}.items() if name != ours}


def ours_of(record: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a record under our names; those it lacks are left out, a response without text is empty.

    Raises:
        ValueError: for a field with several values where one should be.
    """
    found: dict[str, Any] = {}
    for ours in FIELDS:
        paths = names.get(ours, ours).split("|")
        path = next((path for path in paths if not _is_blank(value_at(record, path))), paths[0])
        if ours == "choices" and "," in path:
            value: Any = [cell for name in path.split(",") if not _is_blank(cell := value_at(record, name))]
        else:
            value = value_at(record, path)
        value = _listed(value) if ours in LISTS else _single(value, path)
        if ours == "response" and _is_blank(value) and _is_there(record, path):
            value = ""
        if value is not None and (ours in TEXTS or not _is_blank(value)):
            found[ours] = value
    return found


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
    """A list, also one that a cell holds as text, as JSON or Python writes it, or one by letters: {"A": "left"}."""
    if isinstance(value, Mapping):
        return list(value.values())
    if isinstance(value, int | float):  # a picture named by a number
        return [value]
    if isinstance(value, str) and value.startswith("["):
        for read in (json.loads, ast.literal_eval):
            try:
                return read(value)
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                continue
    return value


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())
