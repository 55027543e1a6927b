"""Images as a server takes them: PNG data URLs, each picture encoded once for all questions about it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from async_lru import alru_cache

from easyr1_fgrpo.pictures import data_url, image_sha256, wire_png

if TYPE_CHECKING:
    from PIL.Image import Image

REMEMBERED = 32
"""Pictures; the questions about one come together, so a few prompts' worth is enough."""

LARGE_PIXELS = 100 * 100
"""From this size on a picture is worked on in a thread: it takes milliseconds."""

T = TypeVar("T")


class DataUrls:
    """Content hashes and data URLs of the last few images. For one event loop; images must not change in place.

    Several who wait for the same share one computation; whoever stops waiting leaves it to the others.
    """

    def __init__(self) -> None:
        self._hash = alru_cache(maxsize=REMEMBERED)(_hash)
        self._data_url = alru_cache(maxsize=REMEMBERED)(_data_url)

    async def content_hash(self, image: Image) -> str:
        """`image_sha256` of an image."""
        return await self._hash(_Keyed(id(image), image))

    async def data_url(self, image: Image) -> str:
        """The picture as `data:image/png;base64,...`, without loss."""
        return await self._data_url(_Keyed(await self.content_hash(image), image))


@dataclass(frozen=True)
class _Keyed:
    """An image that a cache knows by the key alone; held there, so that no other object can get its id meanwhile."""

    key: int | str
    image: Image = field(compare=False)


async def _hash(keyed: _Keyed) -> str:
    return await _work(keyed.image, lambda: image_sha256(keyed.image))


async def _data_url(keyed: _Keyed) -> str:
    return await _work(keyed.image, lambda: data_url(wire_png(keyed.image)))


async def _work(image: Image, compute: Callable[[], T]) -> T:
    return await asyncio.to_thread(compute) if image.width * image.height >= LARGE_PIXELS else compute()
