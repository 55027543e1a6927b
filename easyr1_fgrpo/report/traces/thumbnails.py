"""A run's images for the page: each once, small enough that all of them together fit a budget, or linked in full."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image

from easyr1_fgrpo.pictures import UnreadableImage, opened, rgb
from easyr1_fgrpo.terminal import progress_bar

SIDES = (384, 288, 192, 128, 96)
"""Longest sides of a thumbnail in pixels, best first."""

BUDGET = 32 * 2**20
"""Bytes that all thumbnails may take as text in the page."""

SAMPLE = 24
"""Images on which a size is tried before it is chosen."""


def find_images(folders: Iterable[Path], hashes: Iterable[str]) -> tuple[dict[str, Path], list[str]]:
    """Where each image lies, in the first folder that has it, and the hashes of those that lie nowhere."""
    folders = [folder for folder in folders if folder.is_dir()]
    names: dict[str, Path] = {}
    for folder in folders:
        with os.scandir(folder) as entries:
            for entry in entries:
                names.setdefault(entry.name, folder / entry.name)
    wanted = list(dict.fromkeys(hashes))
    found = {digest: names[f"{digest}.png"] for digest in wanted if f"{digest}.png" in names}
    return found, [digest for digest in wanted if digest not in found]


def thumbnails(files: Mapping[str, Path], budget: int = BUDGET) -> tuple[dict[str, list[Any]], list[str]]:
    """Every image as a data URL, at the largest of `SIDES` at which all are expected to fit.

    Args:
        files: by hash.
        budget: bytes; the smallest side is taken when none fits.

    Returns:
        By hash `[width, height, url]`, width and height being the full image's, and one line for each image that is
        none.
    """
    paths = list(files.values())
    sample = paths[:: max(1, len(paths) // SAMPLE)][:SAMPLE]
    side = next((side for side in SIDES if _expected(sample, side, len(paths)) <= budget), SIDES[-1])
    return _each(files, lambda path: _thumbnail(path, side), "Thumbnails")


def linked(files: Mapping[str, Path], page: Path) -> tuple[dict[str, list[Any]], list[str]]:
    """Every image as a link relative to the page's folder, and one line for each image that is none."""
    return _each(files, lambda path: _link(path, page.resolve().parent), "Linking images")


# ---------------------------------------------------------------------- one image


def _each(
    files: Mapping[str, Path], read: Callable[[Path], list[Any]], title: str
) -> tuple[dict[str, list[Any]], list[str]]:
    images: dict[str, list[Any]] = {}
    problems: list[str] = []

    def attempt(path: Path) -> list[Any] | str:
        try:
            return read(path)
        except UnreadableImage as error:
            return f"{path}: {error}"

    with ThreadPoolExecutor() as threads:  # Pillow decodes and encodes outside the interpreter lock
        results = threads.map(attempt, files.values())
        for digest, result in progress_bar(
            zip(files, results, strict=True), total=len(files), desc=title, unit="image", delay=1.0, leave=False
        ):
            if isinstance(result, str):
                problems.append(result)
            else:
                images[digest] = result
    return images, problems


def _expected(sample: list[Path], side: int, total: int) -> float:
    """Bytes of all thumbnails, from those of a sample; an image that is none takes no room."""
    lengths = []
    for path in sample:
        try:
            lengths.append(len(_thumbnail(path, side)[2]))
        except UnreadableImage:  # named when all images are read
            lengths.append(0)
    return total * sum(lengths) / max(1, len(lengths))


def _thumbnail(path: Path, side: int) -> list[Any]:
    with opened(path) as image:
        width, height = image.size
        small = rgb(image)
        small.thumbnail((side, side), Image.Resampling.BOX)
        file = BytesIO()
        small.save(file, format="JPEG", quality=80, subsampling=0, optimize=True)
    return [width, height, f"data:image/jpeg;base64,{b64encode(file.getvalue()).decode()}"]


def _link(path: Path, folder: Path) -> list[Any]:
    with opened(path) as image:
        width, height = image.size
    return [width, height, quote(os.path.relpath(path.resolve(), folder))]
