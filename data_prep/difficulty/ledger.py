"""The ledger of measured rollouts: one JSON line each, appended as they come, so that none is asked for twice."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from data_prep.difficulty.rollouts import Outcome
from easyr1_fgrpo.files import LineFile, check_settings


class Ledger:
    """A file that outlives its writer: a line cut off by a kill is dropped when it is opened again.

    Args:
        path: of the file; made with its folder when it is not there.
        settings: what the outcomes depend on, as JSON knows it; the file's first line.

    Raises:
        ValueError: when the file holds outcomes of other settings, or something else.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self._file = LineFile(path, sync=True)
        self.outcomes: dict[str, dict[int, Outcome]] = defaultdict(dict)
        lines = (line for _, line in self._file)
        try:
            if (first := next(lines, None)) is None:
                self._file.append(json.dumps(settings))
            else:
                check_settings(path, dict(json.loads(first)), settings)
            for line in lines:
                self._note(Outcome(**json.loads(line)))
        except (TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"{path} is no ledger of rollouts ({error})") from None

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Note what was measured; it is on disk when this returns."""
        measured = list(outcomes)
        self._file.append(*(json.dumps(asdict(outcome)) for outcome in measured))
        for outcome in measured:
            self._note(outcome)

    def missing(self, key: str, rollouts: int) -> list[int]:
        """Numbers of a row's rollouts that are not measured."""
        return [number for number in range(rollouts) if number not in self.outcomes.get(key, {})]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _note(self, outcome: Outcome) -> None:
        self.outcomes[outcome.key][outcome.number] = outcome
