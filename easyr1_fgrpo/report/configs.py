"""The configs of the runs, key by key."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from easyr1_fgrpo.report.run_files import Run


@dataclass(frozen=True)
class ConfigRow:
    """One key of the config with its value in each run, None where a run lacks it."""

    key: str
    values: tuple[str | None, ...]

    @property
    def differs(self) -> bool:
        """Whether the runs disagree."""
        return len(set(self.values)) > 1


def config_rows(runs: Sequence[Run]) -> list[ConfigRow]:
    """Every key of any run's config, in alphabetical order."""
    keys = sorted({key for run in runs for key in run.config})
    return [ConfigRow(key, tuple(_value(run, key) for run in runs)) for key in keys]


def config_groups(rows: Sequence[ConfigRow]) -> dict[str, list[ConfigRow]]:
    """By the first part of their keys, FGRPO's own first."""
    groups: dict[str, list[ConfigRow]] = {"fgrpo": []}
    for row in rows:
        groups.setdefault(row.key.partition(".")[0], []).append(row)
    return {name: mine for name, mine in groups.items() if mine}


def _value(run: Run, key: str) -> str | None:
    return json.dumps(run.config[key], ensure_ascii=False, default=str) if key in run.config else None
