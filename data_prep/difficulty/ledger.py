"""The ledger of measured rollouts: one JSON line each, appended as they come, so that none is asked for twice."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from data_prep.difficulty.rollouts import Outcome


class Ledger:
    """A file that outlives its writer: a line cut off by a kill is dropped when it is opened again.

    Args:
        path: of the file; made with its folder when it is not there.
        settings: what the outcomes depend on, as JSON knows it; the file's first line.

    Raises:
        ValueError: when the file holds outcomes of other settings, or something else.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self.path = path
        self.outcomes: dict[str, dict[int, Outcome]] = defaultdict(dict)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+b")
        if self._drop_torn_line() == 0:
            self._write([settings])
        self._read(settings)

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Keep what was measured; it is on disk when this returns."""
        known = list(outcomes)
        self._write([asdict(outcome) for outcome in known])
        for outcome in known:
            self.outcomes[outcome.key][outcome.number] = outcome

    def missing(self, key: str, rollouts: int) -> list[int]:
        """Numbers of a row's rollouts that are not measured."""
        return [number for number in range(rollouts) if number not in self.outcomes.get(key, {})]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _drop_torn_line(self) -> int:
        """Cut the file after its last whole line; returns the bytes left."""
        self._file.seek(0)
        whole = 0
        for line in self._file:
            if line.endswith(b"\n"):
                whole += len(line)
        self._file.truncate(whole)
        return whole

    def _read(self, settings: dict[str, Any]) -> None:
        self._file.seek(0)
        try:
            first = json.loads(next(self._file))
            if first != settings:
                changed = sorted(key for key in first | settings if first.get(key) != settings.get(key))
                raise ValueError(f"was measured with another {', '.join(changed)}: choose another --out or remove it")
            for line in self._file:
                outcome = Outcome(**json.loads(line))
                self.outcomes[outcome.key][outcome.number] = outcome
        except (TypeError, AttributeError, json.JSONDecodeError) as error:
            raise ValueError(f"{self.path} is no ledger of rollouts ({error})") from None
        except ValueError as error:
            raise ValueError(f"{self.path} {error}") from None

    def _write(self, lines: list[dict[str, Any]]) -> None:
        self._file.write("".join(json.dumps(line) + "\n" for line in lines).encode())
        self._file.flush()
        os.fsync(self._file.fileno())
