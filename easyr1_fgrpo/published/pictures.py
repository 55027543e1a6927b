"""Published pictures: looked at when a data set is read, decoded when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import IO

from PIL import Image

from easyr1_fgrpo.pictures import UnreadableImage, decode

OpenFile = Callable[[], IO[bytes]]

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
        with _opened(file, index, where) as stream, Image.open(stream):
            pass
    return partial(_decode, tuple(files), where)


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
