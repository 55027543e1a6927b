"""The seven benchmarks of FGRPO Table 1 and the miniature, by name."""

from __future__ import annotations

from easyr1_fgrpo.evaluation.benchmarks.cv_bench import CvBench
from easyr1_fgrpo.evaluation.benchmarks.item import Benchmark, Item, ItemMeta, Reject
from easyr1_fgrpo.evaluation.benchmarks.mindcube import MindCube
from easyr1_fgrpo.evaluation.benchmarks.miniature import Miniature
from easyr1_fgrpo.evaluation.benchmarks.mmvp import Mmvp
from easyr1_fgrpo.evaluation.benchmarks.omnispatial import OmniSpatial
from easyr1_fgrpo.evaluation.benchmarks.realworldqa import RealWorldQa
from easyr1_fgrpo.evaluation.benchmarks.sat_real import SatReal

_ALL: list[Benchmark] = [
    CvBench("2D", n_expected=1438),
    CvBench("3D", n_expected=1200),
    MindCube(),
    Mmvp(),
    OmniSpatial(),
    RealWorldQa(),
    SatReal(),
    Miniature(),
]
BENCHMARKS: dict[str, Benchmark] = {benchmark.name: benchmark for benchmark in _ALL}

__all__ = ["BENCHMARKS", "Benchmark", "Item", "ItemMeta", "Reject"]
