"""What a stage writes down about itself for the data card: its command, its input, its counts."""

from __future__ import annotations

import hashlib
import re
import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from data_prep.shards import shard_paths

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


def command_line() -> str:
    """The command that runs now, as one can type it again; credentials inside URLs are left out."""
    return _CREDENTIALS.sub("", shlex.join(["fgrpo", *sys.argv[1:]]))


LOUD = 0.9
"""Share of rejected rows from which on the file is probably not what its reader takes it for."""


def why_rejected(summary: Mapping[str, Any]) -> list[str]:
    """A line for each reason with its count and its share of all that came in, the frequent ones first."""
    reasons = sorted(summary["rejected"].items(), key=lambda entry: -entry[1])
    return [f"  {count:>8}  {count / summary['in']:>6.1%}  {reason}" for reason, count in reasons]


def mostly_rejected(summary: Mapping[str, Any], rejects: Iterable[Mapping[str, Any]]) -> str:
    """What to tell of a reader that rejects nearly everything: the frequent reason and its frequent details; else "".

    Args:
        summary: of the stage.
        rejects: what it rejected; read only where that is much.
    """
    total = sum(summary["rejected"].values())
    if not total or total < LOUD * summary["in"]:
        return ""
    reason = max(summary["rejected"], key=summary["rejected"].__getitem__)
    details = Counter(entry["detail"] for entry in rejects if entry["reason"] == reason)
    shown = ", ".join(f"{detail[:60]!r} ({count})" for detail, count in details.most_common(3) if detail)
    return (
        f"{total} of {summary['in']} rows were rejected, most of them as {reason!r}{shown and ': ' + shown}; "
        "is this what the file is?"
    )


def in_and_out(summary: Mapping[str, Any]) -> str:
    """Where the rows of a stage went: `5 in = 3 out + 2 rejected (1 always_right, 20.0%; ...)`."""
    rejected = summary["rejected"]
    reasons = "; ".join(f"{count} {reason}, {count / summary['in']:.1%}" for reason, count in rejected.items())
    total = sum(rejected.values())
    return f"{summary['in']} in = {summary['out']} out + {total} rejected" + (f" ({reasons})" if reasons else "")


def fingerprint(rows: Path) -> str:
    """Tells an input from another one of the same name: names, sizes and rows of its files."""
    files = [(path.name, path.stat().st_size, pq.read_metadata(path).num_rows) for path in shard_paths(rows)]
    return hashlib.sha256(repr(files).encode()).hexdigest()[:16]
