"""VLMEvalKit's TSV files hold a picture once, in base64; other rows name it by the `index` of its row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from easyr1_fgrpo.published.pictures import LONGEST_NAME
from easyr1_fgrpo.published.record import Malformed, Record
from easyr1_fgrpo.published.records import read_records


def with_shared_pictures(file: Path) -> Iterator[Record]:
    """The records of a file, with the pictures of other rows in the place of their indices.

    Raises:
        ValueError: when the file cannot be read.
    """
    pictures = _shared(file) if file.suffix.lower() == ".tsv" else {}
    for record in read_records([file]):
        if pictures and not isinstance(record, Malformed) and record.get("image") in pictures:
            record = {**record, "image": pictures[record["image"]]}
        yield record


def _shared(file: Path) -> dict[str, str]:
    """The pictures that other rows name, by index."""
    named = {image for _, image in _images(file) if len(image) < LONGEST_NAME}
    return {index: image for index, image in _images(file) if index in named and len(image) >= LONGEST_NAME}


def _images(file: Path) -> Iterator[tuple[str, str]]:
    for record in read_records([file]):
        if not isinstance(record, Malformed) and record.get("index") and record.get("image"):
            yield record["index"], record["image"]
