"""What a stage writes down about itself: its settings before it begins, its command and counts for the data card."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from data_prep.shards import shard_paths, write_json

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


def command_line() -> str:
    """The command that runs now, as one can type it again; credentials inside URLs are left out."""
    return _CREDENTIALS.sub("", shlex.join(["fgrpo", *sys.argv[1:]]))


def in_and_out(summary: Mapping[str, Any]) -> str:
    """Where the rows of a stage went: `5 in = 3 out + 2 rejected (1 always_right, 1 always_wrong)`."""
    rejected = summary["rejected"]
    reasons = ", ".join(f"{count} {reason}" for reason, count in rejected.items())
    total = sum(rejected.values())
    return f"{summary['in']} in = {summary['out']} out + {total} rejected" + (f" ({reasons})" if reasons else "")


def begin(folder: Path, settings: dict[str, Any]) -> None:
    """Write down what a folder is made with, or compare with what it was begun with.

    Raises:
        ValueError: when that was something else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "settings.json"
    if not path.exists():
        write_json(path, settings)
    elif (before := json.loads(path.read_text(encoding="utf-8"))) != settings:
        changed = sorted(key for key in before | settings if before.get(key) != settings.get(key))
        was = ", ".join(f"{key}={before.get(key)!r}" for key in changed)
        raise ValueError(f"{folder} was begun with other settings ({was}): remove it or choose another --out")


def fingerprint(place: Path) -> str:
    """Tells an input from another one of the same name: names, sizes and rows of its files."""
    files = [(path.name, path.stat().st_size, pq.read_metadata(path).num_rows) for path in shard_paths(place)]
    return hashlib.sha256(repr(files).encode()).hexdigest()[:16]
