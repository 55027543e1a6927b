"""Prompt styles by name: ours, plain ones, and those of the five baselines of FGRPO Table 1."""

from __future__ import annotations

from easyr1_fgrpo.evaluation.styles.cot import ChainOfThought
from easyr1_fgrpo.evaluation.styles.direct import Direct
from easyr1_fgrpo.evaluation.styles.ours import Bare, Ours
from easyr1_fgrpo.evaluation.styles.r1_onevision import R1Onevision
from easyr1_fgrpo.evaluation.styles.style import Coordinates, Parsed, Point, Style
from easyr1_fgrpo.evaluation.styles.treevgr import TreeVgr
from easyr1_fgrpo.evaluation.styles.vigorl_spatial import VigorlSpatial
from easyr1_fgrpo.evaluation.styles.vision_r1 import VisionR1
from easyr1_fgrpo.evaluation.styles.vl_rethinker import VlRethinker

_ALL: list[Style] = [
    Ours(),
    Ours("ours_thousand", "thousand"),
    Bare("bare"),
    Direct(),
    ChainOfThought(),
    R1Onevision(),
    VisionR1(),
    VigorlSpatial(),
    TreeVgr(),
    VlRethinker(),
]
STYLES: dict[str, Style] = {style.name: style for style in _ALL}

__all__ = ["STYLES", "Coordinates", "Parsed", "Point", "Style"]
