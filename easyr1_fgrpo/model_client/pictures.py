"""Images as a server takes them: PNG data URLs, each picture encoded once for all questions about it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from io import BytesIO
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from PIL.Image import Image

KEPT = 32
"""Pictures remembered; the questions about one come together, so a few prompts' worth is enough."""

LARGE_PIXELS = 100 * 100
"""From this size on a picture is worked on in a thread: it takes milliseconds."""

COMPRESSION = 3
"""PNG level: half of the default level's time, files a few per cent larger."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class DataUrls:
    """Content hashes and data URLs of the last few images. For one event loop; images must not change in place."""

    def __init__(self) -> None:
        self._hashes: _Recent[int, tuple[Image, str]] = _Recent()
        self._urls: _Recent[str, str] = _Recent()

    async def content_hash(self, image: Image) -> str:
        """SHA-256 of an image's size and RGB pixels, in hex: equal pictures, equal hash."""
        # The image is kept beside its hash, so that no other object can get its id meanwhile.
        return (await self._hashes.get(id(image), lambda: _work(image, lambda: (image, _content_hash(image)))))[1]

    async def data_url(self, image: Image) -> str:
        """The picture as `data:image/png;base64,...`, without loss."""
        return await self._urls.get(await self.content_hash(image), lambda: _work(image, lambda: _data_url(image)))


class _Recent(Generic[K, V]):
    """The last few results of something that takes time; several who wait for the same share one computation."""

    def __init__(self) -> None:
        self._tasks: OrderedDict[K, asyncio.Future[V]] = OrderedDict()

    async def get(self, key: K, compute: Callable[[], Awaitable[V]]) -> V:
        if key not in self._tasks:
            self._tasks[key] = asyncio.ensure_future(compute())
        self._tasks.move_to_end(key)
        while len(self._tasks) > KEPT:
            self._tasks.popitem(last=False)
        # Whoever stops waiting leaves the computation to the others.
        return await asyncio.shield(self._tasks[key])


async def _work(image: Image, compute: Callable[[], V]) -> V:
    return await asyncio.to_thread(compute) if image.width * image.height >= LARGE_PIXELS else compute()


def _content_hash(image: Image) -> str:
    return hashlib.sha256(repr(image.size).encode() + _rgb(image).tobytes()).hexdigest()


def _data_url(image: Image) -> str:
    file = BytesIO()
    _rgb(image).save(file, "PNG", compress_level=COMPRESSION)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _rgb(image: Image) -> Image:
    return image if image.mode == "RGB" else image.convert("RGB")
