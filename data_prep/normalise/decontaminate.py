"""Keep benchmark items out of training data: by perceptual image hash, and by question text.

A row is refused when

- one of its pictures is within `SAME_IMAGE` bits of a benchmark picture, whatever the question: another question about
  the same picture still shows the picture; or
- its question is a benchmark item's question and a picture is within `ALIKE_IMAGE` bits of that item's: a crop or an
  edited copy; or
- its question has at least `LONG_QUESTION` words and exactly one benchmark item asks it. A question alone says little:
  SAT's training questions and SAT-Real's are made from the same templates ("How did the camera likely move ...?"), and
  those are asked by many items.

The hash is imagehash's 64-bit pHash: scaling, JPEG and small colour changes move it by a few bits, unrelated pictures
differ by 32 on average. Mirrored and strongly cropped pictures are not found.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from data_prep.sources.item import Reject
from data_prep.sources.text import split_options
from easyr1_fgrpo.pictures import decode
from easyr1_fgrpo.published.record import Malformed
from easyr1_fgrpo.published.records import read_records
from easyr1_fgrpo.terminal import progress_bar

SAME_IMAGE = 4
ALIKE_IMAGE = 10
"""Hamming distances of 64 bits, at most."""

LONG_QUESTION = 12
"""Words."""

_PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
_RECORDS = frozenset({".parquet", ".jsonl", ".json"})
_QUESTION_KEYS = ("question", "problem")
_IMAGE_KEYS = ("image", "images", "image_bytes")


class BenchmarkItem(NamedTuple):
    """One picture of a benchmark item; an item of several pictures is given once for each, under the same name.

    Attributes:
        name: of the item, with its benchmark: `cv_bench/17`.
        image: any mode and size; None for an item known by its question alone.
        question: "" where only the picture is known.
    """

    name: str
    image: Image.Image | None
    question: str


class Benchmarks:
    """What must not reach training data.

    Attributes:
        items: how many items (names) are known.
        fingerprint: of all that is known; equal when and only when the same rows are refused.
    """

    def __init__(self, items: Iterable[BenchmarkItem] = ()) -> None:
        hashes: list[int] = []
        self._image_names: list[str] = []
        self._asked: dict[str, dict[str, list[int]]] = {}  # question -> item -> positions of its pictures in the hashes
        names = set()
        for name, image, question in progress_bar(
            items, desc="Hashing benchmark items", unit="item", delay=1.0, leave=False
        ):
            names.add(name)
            of_item = self._asked.setdefault(words(question), {}).setdefault(name, [])
            if image is not None:
                of_item.append(len(hashes))
                hashes.append(image_hash(image))
                self._image_names.append(name)
        self._asked.pop("", None)
        self._hashes = np.array(hashes, dtype=np.uint64)
        self.items = len(names)
        known = json.dumps([hashes, self._image_names, self._asked, SAME_IMAGE, ALIKE_IMAGE, LONG_QUESTION])
        self.fingerprint = hashlib.sha256(known.encode()).hexdigest()

    def check(self, question: str, images: Sequence[Image.Image]) -> None:
        """Let a training row pass, or not.

        Args:
            question: without its options.
            images: all its pictures.

        Raises:
            Reject: when the row is a benchmark item's; the detail names the item and says why.
        """
        if not self.items:
            return
        asked = words(question)
        same_question = self._asked.get(asked, {})
        for image in images if len(self._hashes) else ():
            distances = np.bitwise_count(self._hashes ^ np.uint64(image_hash(image)))
            nearest = int(distances.argmin())
            if distances[nearest] <= SAME_IMAGE:
                name = self._image_names[nearest]
                raise Reject("benchmark image", f"{distances[nearest]} of 64 bits from {name}")
            for name, positions in same_question.items():
                if positions and distances[positions].min() <= ALIKE_IMAGE:
                    raise Reject("benchmark question", f"{name}, with a picture {distances[positions].min()} bits away")
        if len(same_question) == 1 and asked.count(" ") + 1 >= LONG_QUESTION:
            raise Reject("benchmark question", f"{next(iter(same_question))} alone asks it")


def image_hash(image: Image.Image) -> int:
    """The 64-bit pHash of a picture."""
    from imagehash import phash

    return int(str(phash(image)), 16)


def words(question: str) -> str:
    """The question's words, case folded, one blank between them."""
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", question).casefold()))


def read_benchmarks(paths: Sequence[Path]) -> Iterator[BenchmarkItem]:
    """Benchmark items from files and folders as their hubs publish them.

    A record's question is in `question` or `problem`, its pictures in `image`, `images` or `image_bytes` (any case):
    bytes, {"bytes": ...}, or a path beside the file. Rows of our own schema are read, too. A picture file is an item
    without a question. Options and instructions inside a question are left out.

    Args:
        paths: parquet, JSON-lines, JSON or picture files, or folders of such, searched to the bottom.

    Raises:
        ValueError: for a path that is not there or holds nothing, and for a record without question and picture.
    """
    for path in paths:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        files = [file for file in files if file.suffix.lower() in _PICTURES | _RECORDS and file.is_file()]
        if not files:
            raise ValueError(f"{path}: no benchmark items (.parquet, .jsonl, .json or pictures)")
        for file in progress_bar(files, desc=f"Reading benchmark {path.name}", unit="file", delay=1.0, leave=False):
            if file.suffix.lower() in _PICTURES:
                yield BenchmarkItem(file.relative_to(path.parent).as_posix(), _open(file.read_bytes(), file), "")
            else:
                yield from _items(file)


def _items(file: Path) -> Iterator[BenchmarkItem]:
    for number, record in enumerate(read_records([file])):
        name = f"{file.name} row {number}"
        if isinstance(record, Malformed):
            raise ValueError(f"{name}: malformed record: {record.detail}")
        values = {key.lower(): value for key, value in {**record, **(record.get("extra_info") or {})}.items()}
        question = next((str(values[key]) for key in _QUESTION_KEYS if values.get(key)), "")
        found: Any = next((values[key] for key in _IMAGE_KEYS if values.get(key)), [])
        pictures = [_picture(one, file, name) for one in (found if isinstance(found, list) else [found])]
        if not question and not pictures:
            raise ValueError(f"{name}: has neither a question nor a picture")
        with suppress(Reject):  # no question for training, but one to be kept out: as it stands
            question = split_options(question)[0]
        if not pictures:
            yield BenchmarkItem(name, None, question)
        for picture in pictures:
            yield BenchmarkItem(name, picture, question)


def _picture(value: Any, file: Path, name: str) -> Image.Image:
    if isinstance(value, Mapping):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes):
        return _open(value, name)
    if isinstance(value, str) and (path := file.parent / value).is_file():
        return _open(path.read_bytes(), path)
    raise ValueError(f"{name}: its picture {str(value)[:80]!r} is no bytes and no file beside it")


def _open(data: bytes, name: str | Path) -> Image.Image:
    try:
        return decode(data)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
