"""Whole files of rows, checked before anything is trained or evaluated on them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from easyr1_fgrpo.rows.parquet import batches, count_rows
from easyr1_fgrpo.rows.row import ExtraInfo, RewardModel, Row, explain
from easyr1_fgrpo.terminal import progress_bar

_VALUES = re.compile(r"'[^']*'|\"[^\"]*\"|\[[^\]]*\]|\([^)]*\)|-?\d+(?:\.\d+)?")
"""What differs between two problems of one cause: quoted text, lists, brackets, numbers."""


def check_rows(paths: Iterable[str | Path]) -> list[str]:
    """Check whole files, images decoded; progress is shown when it takes longer than a second.

    An index that occurs twice in a split is a problem too: traces and seeds are kept by it.

    Returns:
        One line per bad file or row, naming it and what is wrong.
    """
    problems: list[str] = []
    seen: dict[tuple[str, int], str] = {}
    for path in paths:
        try:
            problems += _file_problems(path, seen)
        except (OSError, pa.ArrowException) as error:
            problems.append(f"{path}: cannot be read as parquet ({str(error).partition(chr(10))[0]})")
    return problems


def causes(problems: Iterable[str]) -> list[str]:
    """The problems of `check_rows`, those of one cause in one file together: the first, and how many more there are."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for problem in problems:
        where, row, what = problem.partition(" row ")
        cause = (where, _VALUES.sub("", what.partition(": ")[2])) if row else (problem, "")
        grouped.setdefault(cause, []).append(problem)
    return [first if not more else f"{first} (and {len(more)} more like it)" for first, *more in grouped.values()]


def _file_problems(path: str | Path, seen: dict[tuple[str, int], str]) -> list[str]:
    """Problems of one file; `seen` holds where each (split, index) first was."""
    if missing := _missing_columns(pq.read_schema(path)):
        return [f"{path}: no column {', '.join(missing)}"]
    if (total := count_rows(path)) == 0:
        return [f"{path}: no rows"]
    problems: list[str] = []
    number = 0
    bar = progress_bar(total=total, desc=f"Checking {Path(path).name}", unit="row", delay=1.0, leave=False)
    with bar, ThreadPoolExecutor() as threads:  # Pillow decodes outside the interpreter lock
        for batch in batches(path):
            for key, problem in threads.map(_check_row, batch):
                where = f"{path} row {number}"
                first = where if key is None else seen.setdefault(key, where)
                if problem:
                    problems.append(f"{where}: {problem}")
                elif first != where:
                    problems.append(f"{where}: the extra_info.index and split of {first} again")
                number += 1
            bar.update(len(batch))
    return problems


def _missing_columns(schema: pa.Schema) -> list[str]:
    missing = [name for name in Row.model_fields if name not in schema.names]
    for name, part in (("reward_model", RewardModel), ("extra_info", ExtraInfo)):
        if name in schema.names and pa.types.is_struct(struct := schema.field(name).type):
            held = {field.name for field in struct}
            required = [key for key, field in part.model_fields.items() if field.is_required()]
            missing += [f"{name}.{key}" for key in required if key not in held]
    return missing


def _check_row(values: dict[str, Any]) -> tuple[tuple[str, int] | None, str]:
    """A row's (split, index), None when it has none, and what is wrong with it, "" when nothing is."""
    try:
        row = Row.model_validate(values)
    except ValidationError as error:
        return None, explain(error)
    info = row.extra_info
    try:
        width, height = row.open_images()[0].size
    except ValueError as error:
        return (info.split, info.index), str(error)
    if (width, height) != (info.width, info.height):
        problem = f"the first image has {width} x {height} pixels, extra_info says {info.width} x {info.height}"
        return (info.split, info.index), problem
    return (info.split, info.index), ""
