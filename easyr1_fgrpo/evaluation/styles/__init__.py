"""Prompt styles by name: ours, plain ones, and those of the five baselines of FGRPO Table 1."""

from __future__ import annotations

from easyr1_fgrpo.config.schema import ImageSettings
from easyr1_fgrpo.evaluation.styles.cot import ChainOfThought
from easyr1_fgrpo.evaluation.styles.direct import Direct
from easyr1_fgrpo.evaluation.styles.ours import Bare, Ours, Trained
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
    Trained("trained"),
    Direct(),
    ChainOfThought(),
    R1Onevision(),
    VisionR1(),
    VigorlSpatial(),
    TreeVgr(),
    VlRethinker(),
]
STYLES: dict[str, Style] = {style.name: style for style in _ALL}


def trained_on(images: ImageSettings) -> Style:
    """The style `trained` with the pixel budget and the box convention of a run."""
    pixels = (images.min_pixels, images.max_pixels)
    return Trained("trained", "thousand" if images.coordinates == "thousand" else "pixels", pixels=pixels)


__all__ = ["STYLES", "Coordinates", "Ours", "Parsed", "Point", "Style", "trained_on"]
