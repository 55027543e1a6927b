"""The file formats of a figure, apart from what draws: the command line names them without importing it."""

from __future__ import annotations

from enum import StrEnum


class Format(StrEnum):
    """File formats of a figure."""

    PDF = "pdf"
    SVG = "svg"
    PNG = "png"
