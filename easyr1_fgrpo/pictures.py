"""Pictures, everywhere alike: decoded to RGB, by the hash of what is seen, as PNG, as a file, as a judge gets them.

The policy sees what qwen_vl_utils makes of a file: transparent parts are white where the file is RGBA, and orientation
marks (EXIF) are not applied; vLLM does not apply them either. Here white is under every kind of transparency, and
16-bit grey is scaled instead of cut off at 255: `plain_file` is a file of which other readers make the same.
"""

from __future__ import annotations

import base64
import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO

from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from easyr1_fgrpo.files import replacing

WIRE_COMPRESSION = 1
"""PNG level of what is sent: a third of the default level's time, files a tenth larger."""

JUDGED_QUALITY = 98
"""JPEG quality of photographs for judges, with colours at full resolution.

It moves a judge's logits by no more than two answers in bfloat16 differ; 90 moves them by twice that
(`tests/unit/judges/test_picture_quality.py`).
"""

SMALL_PIXELS = 128 * 128
"""Up to so many pixels a judge gets a picture as PNG: no block of 8 x 8 pixels is lost, and it is a few ten kB."""

DRAWN_COLOURS = 4096
"""A picture of more colours is no drawing: as PNG it would be larger, and takes ten times as long to encode."""

JPEG_SIDE = 65_535
"""Pixels of a side that JPEG can hold."""

MAX_PIXELS = 64_000_000
"""More is a mistake, or an attack on whoever decodes it: 21 kB of PNG can be 177 megapixels, half a gigabyte each."""

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
"""What data sets hold. Nothing else is opened: of the other formats that Pillow knows, EPS would start Ghostscript."""

MAX_RATIO = 200
"""One side by the other; Qwen's resize, in qwen_vl_utils and in transformers, raises an error for longer pictures."""

# Pillow warns from 89 megapixels on, in lines of its own; `opened` refuses such a file in one line.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

_HARMLESS = frozenset(
    {"jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi", "adobe", "adobe_transform", "progressive"}
    | {"progression", "interlace", "loop", "background", "timestamp", "duration"}
)
"""What a file may say besides its pixels to be sent on: nothing that turns them, colours them, or tells of somebody."""

_PLAIN_FORMATS = frozenset({"JPEG", "PNG", "WEBP"})
"""What every reader of ours, of the trainers and of judges decodes."""

_OWN_FILE = "file_of_these_pixels"
"""Attribute of a picture of `decode`: the file it is the pixels of, and its media type."""


class UnreadableImage(ValueError):  # noqa: N818 (a file's fault, not the program's)
    """A picture that cannot be decoded, or cannot be shown to the policy.

    Attributes:
        why: in a few words.
    """

    def __init__(self, why: str) -> None:
        super().__init__(f"unreadable image ({why})")
        self.why = why


def rgb(image: Image.Image) -> Image.Image:
    """The image in RGB, what is transparent on white; itself if it is.

    Raises:
        ValueError: for numbers of which nobody knows which one is white: floats, integers of 32 bits, and 16-bit files
            in which white is 0.
    """
    if image.mode.startswith(("I", "F")):
        return _scaled(image).convert("RGB")
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(seen, mask=seen.getchannel("A"))
        return white
    return image if image.mode == "RGB" else image.convert("RGB")


def decode(file: bytes) -> Image.Image:
    """A picture file in RGB at its raw size; of an animation the first frame.

    Raises:
        UnreadableImage: when the bytes are no whole picture, or one that the policy cannot be shown.
    """
    with opened(file) as image:
        image.load()
        seen = rgb(image)
        seen = seen.copy() if seen is image else seen  # of no file
        if 2 * len(file) < 3 * seen.width * seen.height and _nothing_but_pixels(image, file):
            setattr(seen, _OWN_FILE, (file, str(image.get_format_mimetype())))  # no picture made of this one has it
        return seen


def plain_file(file: bytes) -> bytes:
    """The file itself where every reader decodes it to the same RGB as `decode`, else a PNG of that.

    Readers differ in transparency (white, black, or the colour below), in 16-bit grey, and in what they can open.

    Raises:
        UnreadableImage: as `decode`, which alone finds damage behind the header.
    """
    with opened(file) as image:
        return file if _plain(image) else wire_png(image)


def judged_file(image: Image.Image) -> tuple[bytes, str]:
    """The least file from which a judge sees an image as it is, and its media type.

    The file that `decode` made it of, where that holds these pixels and nothing else; else a PNG of a drawing and a
    JPEG of a photograph; of two that both fit, the smaller one.
    """
    own: tuple[bytes, str] | None = getattr(image, _OWN_FILE, None)
    seen = rgb(image)
    fitting = [own] if own else []
    small = seen.width * seen.height <= SMALL_PIXELS or max(seen.size) > JPEG_SIDE
    if small or seen.getcolors(DRAWN_COLOURS):
        fitting.append((wire_png(seen), "image/png"))
    if not small:
        jpeg = BytesIO()
        seen.save(jpeg, "JPEG", quality=JUDGED_QUALITY, subsampling="4:4:4", icc_profile=None, comment=b"")
        fitting.append((jpeg.getvalue(), "image/jpeg"))
    return min(fitting, key=lambda file: len(file[0]))


def image_sha256(image: Image.Image) -> str:
    """SHA-256 of an image's size and decoded RGB pixels, in hex: what a reader sees, whatever the file format.

    Names the files in `runs/*/images`, and stands for the picture in the keys of cached verdicts.
    """
    seen = rgb(image)
    digest = hashlib.sha256(f"{seen.width}x{seen.height}:".encode())
    digest.update(seen.tobytes())
    return digest.hexdigest()


def wire_png(image: Image.Image) -> bytes:
    """A PNG file of the image's RGB pixels, encoded in little time."""
    file = BytesIO()
    rgb(image).save(file, "PNG", compress_level=WIRE_COMPRESSION, icc_profile=None)
    return file.getvalue()


def data_url(file: bytes, media_type: str = "image/png") -> str:
    """An image file as `data:image/png;base64,...`."""
    return f"data:{media_type};base64,{base64.b64encode(file).decode()}"


def save_picture(image: Image.Image, folder: Path) -> str:
    """Write `<sha256>.png` unless it is there, whole or not at all; returns the hash."""
    digest = image_sha256(image)
    path = folder / f"{digest}.png"
    if not path.exists():
        with replacing(path) as part:
            rgb(image).save(part, format="PNG", icc_profile=None)
    return digest


@contextmanager
def opened(file: bytes | Path | IO[bytes]) -> Iterator[ImageFile]:
    """A picture whose header is read, and which is small enough to be decoded. Pictures are opened nowhere else.

    Args:
        file: its bytes, where it lies, or a stream that can seek.

    Raises:
        UnreadableImage: as `decode`; also for what goes wrong while it is open.
    """
    try:
        with Image.open(BytesIO(file) if isinstance(file, bytes) else file, formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise ValueError(f"{width} x {height} pixels are more than {MAX_PIXELS:,}")
            if max(width, height) > MAX_RATIO * min(width, height):
                raise ValueError(f"{width} x {height} pixels: one side is more than {MAX_RATIO} times the other")
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) if image.format == "TIFF" else 1
            if turned != 1:
                raise ValueError(
                    f"a TIFF with orientation mark {turned}, which readers turn, boxes not: save it upright"
                )
            yield image
    except Exception as error:  # Pillow's decoders raise many kinds on damaged files
        raise UnreadableImage(_why(error)) from error


def _plain(image: ImageFile) -> bool:
    """Whether every reader makes the same RGB of a file; see `plain_file`."""
    same = not image.mode.startswith(("I", "F")) and not image.has_transparency_data
    return same and image.format in _PLAIN_FORMATS and getattr(image, "n_frames", 1) == 1


def _nothing_but_pixels(image: ImageFile, file: bytes) -> bool:
    """Whether a file can be sent to anybody's server as it is: plain, upright, without profile, place, text or name."""
    if image.format == "WEBP":  # the simple kind, which has no room for anything else
        size = int.from_bytes(file[16:20], "little")
        ends = file[12:16] in (b"VP8 ", b"VP8L") and len(file) == 20 + size + size % 2
    else:
        end = b"\xff\xd9" if image.format == "JPEG" else b"IEND\xaeB`\x82"
        ends = file.find(end) + len(end) == len(file)
    said = set(image.info) | {str(chunk[0]) for chunk in getattr(image, "private_chunks", ())}  # of a PNG
    said |= {marker for marker, _ in getattr(image, "applist", ())} - {"APP0", "APP14"}  # a JPEG's JFIF and Adobe
    return _plain(image) and image.mode in ("RGB", "L", "P", "1") and ends and said <= _HARMLESS


def _why(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"no picture file of {', '.join(FORMATS)}"  # Pillow's own words hold an address in memory
    if isinstance(error, Image.DecompressionBombError):
        return f"more than {MAX_PIXELS:,} pixels"
    return str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"


def _scaled(image: Image.Image) -> Image.Image:
    """Grey of 16 bits in 8, by the depth that the file declares; what is marked as transparent is white."""
    import numpy as np

    values = np.asarray(image)
    tags = getattr(image, "tag_v2", {})
    if image.mode in ("I", "F"):
        raise ValueError(
            f"values of {values.min():g} to {values.max():g} (mode {image.mode}) are no grey: save as 8 bits"
        )
    if tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0:  # Pillow does not turn it round
        raise ValueError("a 16-bit TIFF in which white is 0: save it as PNG")
    white = (1 << tags.get(TiffImagePlugin.BITSPERSAMPLE, (16,))[0]) - 1
    grey = ((values.astype(np.int64) * 255 + white // 2) // white).astype(np.uint8)
    grey[values == image.info.get("transparency")] = 255
    return Image.fromarray(grey)
