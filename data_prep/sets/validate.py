"""Check prepared files before anything is trained on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from data_prep.shards import read_rows, shard_paths
from easyr1_fgrpo.rows import IMAGE_MARK, check_rows, count_rows

SHOWN = 20
"""Problems printed; the rest is counted."""


def validate(inputs: Sequence[Path]) -> tuple[list[str], Counter[str]]:
    """Check every row of files and folders of shards, pictures decoded (`easyr1_fgrpo.rows.check_rows`).

    Each file and each folder is a set: indices are unique within it. A shard without rows is no problem as long as its
    folder has some.

    Returns:
        One line a problem, and totals of what was read without a problem: files, rows, rows with boxes, boxes,
        multiple-choice rows, open-ended rows, pictures.
    """
    problems: list[str] = []
    totals: Counter[str] = Counter()
    for rows in inputs:
        try:
            paths = shard_paths(rows)
            files = [path for path in paths if count_rows(path)] or paths[:1]
        except (OSError, ValueError) as error:  # pyarrow's errors are of these kinds
            problems.append(f"{rows}: cannot be read ({str(error).partition(chr(10))[0]})")
            continue
        found = check_rows(files)
        problems += found
        if not found:
            totals += _totals(files)
    return problems, totals


def _totals(files: Sequence[Path]) -> Counter[str]:
    totals = Counter(files=len(files))
    for path in files:
        for row in read_rows(path, ["prompt", "extra_info.boxes", "extra_info.choices"]):
            boxes, choices = row["extra_info"]["boxes"] or [], row["extra_info"]["choices"] or []
            totals["rows"] += 1
            totals["rows with boxes"] += bool(boxes)
            totals["boxes"] += len(boxes)
            totals["multiple-choice rows" if choices else "open-ended rows"] += 1
            totals["pictures"] += sum(turn["content"].count(IMAGE_MARK) for turn in row["prompt"])
    return totals
