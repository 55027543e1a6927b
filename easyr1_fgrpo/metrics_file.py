"""metrics.jsonl of a run: one line per step, appended, so that a resumed run keeps its history."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from numbers import Real
from pathlib import Path
from typing import Any

from easyr1_fgrpo.files import LineFile


class MetricsFile:
    """Appends `{"step": n, "metrics": {...}}` per step; after a resume the last line of a step counts.

    Values that are no finite number are listed by name under "missing" and never written as a number.
    """

    def __init__(self, path: Path) -> None:
        self._lines = LineFile(path)

    def write(self, step: int, metrics: dict[str, Any]) -> None:
        """Append one step."""
        numbers = {name: float(value) for name, value in metrics.items() if _is_number(value)}
        missing = sorted(name for name, value in metrics.items() if name not in numbers)
        self._lines.append(json.dumps({"step": step, "metrics": numbers, **({"missing": missing} if missing else {})}))


class MetricsFollower:
    """Reads the lines that are appended to a metrics.jsonl after this object was made."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        self.new()

    def new(self) -> list[tuple[int, dict[str, float]]]:
        """Steps written since the last call, as (step, metrics)."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self.offset)
            whole, end, _ = file.read().rpartition(b"\n")
        self.offset += len(whole + end)
        return list(_records(whole.splitlines()))


def read_metrics(path: Path) -> dict[int, dict[str, float]]:
    """Metrics by step; a line that is no record (its writer was killed) is left out, and a step's last line wins."""
    return dict(_records(path.read_bytes().splitlines()))


def _records(lines: Iterable[bytes]) -> Iterator[tuple[int, dict[str, float]]]:
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:  # torn: its writer was killed
            continue
        match record:
            case {"step": int() as step, "metrics": dict() as metrics}:
                yield step, {name: value for name, value in metrics.items() if _is_number(value)}


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(float(value))
