"""The seven benchmarks of FGRPO Table 1 by name, and files of rows under any name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from easyr1_fgrpo.evaluation.benchmarks.cv_bench import CvBench
from easyr1_fgrpo.evaluation.benchmarks.item import Benchmark, Item, ItemMeta, Reject
from easyr1_fgrpo.evaluation.benchmarks.mindcube import MindCube
from easyr1_fgrpo.evaluation.benchmarks.mmvp import Mmvp
from easyr1_fgrpo.evaluation.benchmarks.omnispatial import OmniSpatial
from easyr1_fgrpo.evaluation.benchmarks.realworldqa import RealWorldQa
from easyr1_fgrpo.evaluation.benchmarks.row_file import RowFile, content_of
from easyr1_fgrpo.evaluation.benchmarks.sat_real import SatReal

_ALL: list[Benchmark] = [
    CvBench("2D", n_expected=1438),
    CvBench("3D", n_expected=1200),
    MindCube(),
    Mmvp(),
    OmniSpatial(),
    RealWorldQa(),
    SatReal(),
    RowFile("miniature"),
]
BENCHMARKS: dict[str, Benchmark] = {benchmark.name: benchmark for benchmark in _ALL}

ROWS, HASH = "rows:", "sha256 "
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
"""Of benchmarks and models: they name files."""


@dataclass(frozen=True)
class Source:
    """A benchmark and where it lies; None for its hub id."""

    benchmark: Benchmark
    location: Path | None = None

    @property
    def data(self) -> str:
        """Where it is read from; of a file of rows, which may change under its name, with a hash."""
        if isinstance(self.benchmark, RowFile) and self.location is not None:
            return f"{self.location}, {HASH}{content_of(self.location)[:16]}"
        return str(self.location or self.benchmark.hub_id)


def parse_source(text: str) -> Source:
    """Read `NAME`, `NAME=LOCATION` or `NAME=rows:FILE`.

    Raises:
        ValueError: for an unknown benchmark, a name that cannot name files, or a location where nothing lies.
    """
    name, _, location = text.partition("=")
    own_rows = location.startswith(ROWS)
    if own_rows and name in BENCHMARKS and name != "miniature":
        raise ValueError(f"--benchmark {text}: {name} is a published benchmark; give your rows another name")
    if own_rows and not NAME.fullmatch(name):
        raise ValueError(f"--benchmark {text}: choose another name, of letters, digits and . _ + -")
    if not own_rows and name not in BENCHMARKS:
        raise ValueError(f"--benchmark {name}: known are {', '.join(BENCHMARKS)}; rows of your own are NAME=rows:FILE")
    path = Path(location.removeprefix(ROWS)) if location else None
    if path is not None and not path.exists():
        raise ValueError(f"--benchmark {text}: no such file or folder")
    return Source(RowFile(name) if own_rows else BENCHMARKS[name], path)


__all__ = ["BENCHMARKS", "HASH", "NAME", "Benchmark", "Item", "ItemMeta", "Reject", "RowFile", "Source", "parse_source"]
