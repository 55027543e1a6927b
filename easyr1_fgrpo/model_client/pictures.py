"""Requests with pictures: each is encoded once for all questions about it, and can be named instead of sent.

vLLM keeps what it was sent under a `uuid` and takes the uuid alone from then on; `held.py` knows which server does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

from async_lru import alru_cache

from easyr1_fgrpo.pictures import SMALL_PIXELS, data_url, image_sha256, judged_file

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
        """The picture's `judged_file` as `data:image/...;base64,...`."""
        return await self._data_url(_Keyed(await self.content_hash(image), image))


class How(Enum):
    """What stands in a request for a large picture; small ones are always sent."""

    WHOLE = "the picture"
    NAMED = "the picture and its name"
    NAME = "its name"
    NO_NAME = "a name that nobody ever gave a picture"


@dataclass(frozen=True)
class PicturedBody:
    """The JSON of a request in which names stand for pictures.

    Attributes:
        text: as `json.dumps` writes it, with `{"url": NAME}` where a picture is.
        images: the pictures by their names, which say their content.
        urls: what is sent of them.
    """

    text: str
    images: Mapping[str, Image]
    urls: DataUrls = field(repr=False)

    @property
    def large(self) -> tuple[str, ...]:
        """Names of the pictures that are worth to be sent once only."""
        return tuple(name for name, image in self.images.items() if image.width * image.height > SMALL_PIXELS)

    async def content(self, how: How) -> bytes:
        """The request as it is sent."""
        content = self.text.encode()
        for name in self.images:
            # Exact: inside a JSON string a quote stands behind a backslash, so only a whole value can match.
            content = content.replace(f'{{"url": "{name}"}}'.encode(), (await self._part(name, how)).encode())
        return content

    async def _part(self, name: str, how: How) -> str:
        """The value of an item's `image_url`, and its `uuid`."""
        if how is How.NO_NAME and name in self.large:
            name = str(uuid4())
        elif how is not How.NAME or name not in self.large:
            url = f'{{"url": "{await self.urls.data_url(self.images[name])}"}}'
            return f'{url}, "uuid": "{name}"' if how is How.NAMED and name in self.large else url
        return f'null, "uuid": "{name}"'


@dataclass(frozen=True)
class _Keyed:
    """An image that a cache knows by the key alone; held there, so that no other object can get its id meanwhile."""

    key: int | str
    image: Image = field(compare=False)


async def _hash(keyed: _Keyed) -> str:
    return await _work(keyed.image, lambda: image_sha256(keyed.image))


async def _data_url(keyed: _Keyed) -> str:
    return await _work(keyed.image, lambda: data_url(*judged_file(keyed.image)))


async def _work(image: Image, compute: Callable[[], T]) -> T:
    return await asyncio.to_thread(compute) if image.width * image.height >= LARGE_PIXELS else compute()
