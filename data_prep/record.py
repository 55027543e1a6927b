"""What a stage writes down about itself for the data card: its command, its input, its counts."""

from __future__ import annotations

import hashlib
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from data_prep.shards import shard_paths

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


def fingerprint(rows: Path) -> str:
    """Tells an input from another one of the same name: names, sizes and rows of its files."""
    files = [(path.name, path.stat().st_size, pq.read_metadata(path).num_rows) for path in shard_paths(rows)]
    return hashlib.sha256(repr(files).encode()).hexdigest()[:16]
