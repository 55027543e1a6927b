"""metrics.jsonl of a run: one line per step, appended, so that a resumed run keeps its history."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from numbers import Real
from pathlib import Path
from typing import Any


class MetricsFile:
    """Appends `{"step": n, "metrics": {...}}` per step; after a resume the last line of a step counts.

    Values that are no finite number are listed by name under "missing" and never written as a number.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, step: int, metrics: dict[str, Any]) -> None:
        """Append one step."""
        numbers = {name: float(value) for name, value in metrics.items() if _is_number(value)}
        missing = sorted(name for name, value in metrics.items() if name not in numbers)
        record = {"step": step, "metrics": numbers, **({"missing": missing} if missing else {})}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            # A writer that was killed may have left half a line: end it, so that this record stands on its own.
            if file.tell() and (file.seek(-1, 2), file.read(1))[1] != b"\n":
                file.write(b"\n")
            file.write(json.dumps(record).encode() + b"\n")


class MetricsFollower:
    """Reads the lines that are appended to a metrics.jsonl after this object was made."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = path.stat().st_size if path.exists() else 0

    def new(self) -> list[tuple[int, dict[str, float]]]:
        """Steps written since the last call, as (step, metrics)."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self.offset)
            whole, _, _ = file.read().rpartition(b"\n")
        self.offset += len(whole) + 1 if whole else 0
        return list(_records(whole.splitlines()))


def read_metrics(path: Path) -> dict[int, dict[str, float]]:
    """Metrics by step; a torn line (its writer was killed) is left out, and the last line of a step wins."""
    return dict(_records(path.read_bytes().splitlines()))


def _records(lines: Iterable[bytes]) -> Iterator[tuple[int, dict[str, float]]]:
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:  # torn: its writer was killed
            continue
        yield record["step"], record["metrics"]


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(float(value))
