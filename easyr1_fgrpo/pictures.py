"""Pictures, everywhere alike: as RGB, by the hash of what is seen, as PNG, as a file."""

from __future__ import annotations

import base64
import hashlib
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from easyr1_fgrpo.files import replacing

if TYPE_CHECKING:
    from PIL.Image import Image

WIRE_COMPRESSION = 1
"""PNG level of what is sent: a third of the default level's time, files a tenth larger."""


def rgb(image: Image) -> Image:
    """The image in RGB; itself if it is."""
    return image if image.mode == "RGB" else image.convert("RGB")


def image_sha256(image: Image) -> str:
    """SHA-256 of an image's size and decoded RGB pixels, in hex: what a reader sees, whatever the file format.

    Names the files in `runs/*/images`, and stands for the picture in the keys of cached verdicts.
    """
    seen = rgb(image)
    return hashlib.sha256(f"{seen.width}x{seen.height}:".encode() + seen.tobytes()).hexdigest()


def wire_png(image: Image) -> bytes:
    """A PNG file of the image's RGB pixels, encoded in little time."""
    file = BytesIO()
    rgb(image).save(file, "PNG", compress_level=WIRE_COMPRESSION)
    return file.getvalue()


def data_url(file: bytes, media_type: str = "image/png") -> str:
    """An image file as `data:image/png;base64,...`."""
    return f"data:{media_type};base64,{base64.b64encode(file).decode()}"


def save_picture(image: Image, folder: Path) -> str:
    """Write `<sha256>.png` unless it is there, whole or not at all; returns the hash."""
    digest = image_sha256(image)
    path = folder / f"{digest}.png"
    if not path.exists():
        with replacing(path) as part:
            rgb(image).save(part, format="PNG")
    return digest
