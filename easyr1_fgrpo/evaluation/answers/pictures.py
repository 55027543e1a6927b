"""An item's images as they are sent: at a size the model's processor leaves alone, encoded once."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from easyr1_fgrpo.files import write_whole
from easyr1_fgrpo.pictures import data_url, image_sha256, rgb, wire_png

PATCH = 28
"""Pixels of a merged patch of Qwen2-VL and Qwen2.5-VL: sides that are multiples of it are not resized by them."""


@dataclass(frozen=True)
class Picture:
    """An image as a model sees it.

    Attributes:
        image: RGB.
        raw_size: width and height in pixels before it was resized.
        sha256: `pictures.image_sha256`.
        png: the encoded file.
    """

    image: Image.Image = field(repr=False)
    raw_size: tuple[int, int]
    sha256: str
    png: bytes = field(repr=False)

    @property
    def data_url(self) -> str:
        """The file as `data:image/png;base64,...`."""
        return data_url(self.png)

    def save(self, folder: Path) -> None:
        """Write `<sha256>.png` unless it is there, whole or not at all."""
        path = folder / f"{self.sha256}.png"
        if not path.exists():
            write_whole(path, self.png)


def prepare(images: Iterable[Image.Image], pixels: tuple[int, int] | None, *, fit: bool) -> list[Picture]:
    """Resize and encode images.

    Args:
        images: as the benchmark has them.
        pixels: least and most pixels of an image that the model is used to; None for any.
        fit: give every image sides that are multiples of `PATCH`, so that the model's coordinates, pixels of what its
            processor makes of the image, are pixels of what we sent.
    """
    return [_picture(_resized(image, pixels, fit), image.size) for image in images]


def fitting_size(width: int, height: int, pixels: tuple[int, int] | None) -> tuple[int, int]:
    """The nearest size in multiples of `PATCH` with about the same shape and an area within `pixels`."""
    sides = [max(PATCH, round(side / PATCH) * PATCH) for side in (width, height)]
    area = sides[0] * sides[1]
    if pixels and area > pixels[1]:
        scale = math.sqrt(pixels[1] / (width * height))
        sides = [max(PATCH, math.floor(side * scale / PATCH) * PATCH) for side in (width, height)]
    elif pixels and area < pixels[0]:
        scale = math.sqrt(pixels[0] / (width * height))
        sides = [math.ceil(side * scale / PATCH) * PATCH for side in (width, height)]
    return sides[0], sides[1]


def _resized(image: Image.Image, pixels: tuple[int, int] | None, fit: bool) -> Image.Image:
    image = rgb(image)
    outside = pixels is not None and not pixels[0] <= image.width * image.height <= pixels[1]
    if not fit and not outside:
        return image
    size = fitting_size(*image.size, pixels)
    return image if size == image.size else image.resize(size, Image.Resampling.BICUBIC)


def _picture(image: Image.Image, raw_size: tuple[int, int]) -> Picture:
    return Picture(image, raw_size, image_sha256(image), wire_png(image))
