"""Published pictures: looked at when a data set is read, decoded when they are asked for."""

from __future__ import annotations

import base64
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import IO

from PIL import Image

from easyr1_fgrpo.pictures import UnreadableImage, decode, opened

OpenFile = Callable[[], IO[bytes]]

LONGEST_NAME = 1000
"""Characters; what is longer is a picture in base64."""

LoadImages = Callable[[], list[Image.Image]]
"""Decodes an item's images, RGB, in the published order; raises ValueError, naming the item, when one is damaged."""


def images(files: Sequence[OpenFile], where: str) -> LoadImages:
    """Looks at the header of each image now, decodes them on call.

    Args:
        files: open the images' files, in order.
        where: names the item in errors.

    Raises:
        ValueError: when one is no image; the returned function raises it when one is damaged further on.
    """
    for index, file in enumerate(files):
        with _opened(file, index, where) as stream, opened(stream):
            pass
    return partial(_decode, tuple(files), where)


def written_picture(text: str) -> bytes | None:
    """The file that a record holds itself, as a data URL or in base64; None for the name of a file.

    Raises:
        ValueError: when it is no base64, or the address of a picture elsewhere.
    """
    if text.startswith(("http://", "https://")):
        raise ValueError(f"{text[:100]!r} is elsewhere: download the pictures, and name the files")
    is_url = text.startswith("data:image/")
    if not is_url and len(text) < LONGEST_NAME:
        return None
    try:
        return base64.b64decode("".join((text.partition(",")[2] if is_url else text).split()), validate=True)
    except ValueError as error:
        raise ValueError(f"{text[:30]!r}... is no picture in base64 ({error})") from None


def spellings(name: str) -> list[str]:
    """Names that a file may have on this system: as it stands, with Windows' separators, composed or decomposed."""
    slashed = name.replace("\\", "/")
    forms = (name, slashed, *(unicodedata.normalize(form, slashed) for form in ("NFC", "NFD")))
    return list(dict.fromkeys(forms))


def _decode(files: Sequence[OpenFile], where: str) -> list[Image.Image]:
    decoded = []
    for index, file in enumerate(files):
        with _opened(file, index, where) as stream:
            decoded.append(decode(stream.read()))
    return decoded


@contextmanager
def _opened(file: OpenFile, index: int, where: str) -> Iterator[IO[bytes]]:
    try:
        with file() as stream:
            yield stream
    except Exception as error:  # Pillow's decoders and damaged archives raise many kinds
        why = error.why if isinstance(error, UnreadableImage) else f"{type(error).__name__}: {error}"
        raise ValueError(f"{where}: image {index} is unreadable ({why})") from error
