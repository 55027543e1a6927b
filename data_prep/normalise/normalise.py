"""Stage 1: one public source -> a folder of shards in the one row schema, and what was left out with its reason."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from data_prep.normalise.decontaminate import Benchmarks
from data_prep.normalise.open_ended import AnswerPool, OpenEnded
from data_prep.normalise.row import Normaliser
from data_prep.shards import ShardWriter, counts, read_summary
from data_prep.sources import SOURCES, Item, Reject, Source
from data_prep.sources.conversations import Record, each_question
from data_prep.sources.easyr1 import Keys, easyr1
from data_prep.sources.pictures import Pictures, unpack
from easyr1_fgrpo.files import begin, write_json
from easyr1_fgrpo.published.files import find_files, is_hub_id, matching
from easyr1_fgrpo.published.record import Malformed
from easyr1_fgrpo.published.records import count_records, read_records
from easyr1_fgrpo.rows import explain
from easyr1_fgrpo.terminal import progress_bar

CHUNK = 64
"""Questions in memory at a time; their pictures are decoded in parallel."""


def read_items(source: Source, files: Sequence[Path], start: int = 0) -> Iterator[Item | Reject]:
    """What a source's files say, one entry a question, from number `start` on; no picture is opened.

    Raises:
        ValueError: when a file cannot be read.
    """
    for record in _questions(source, files, start):
        try:
            yield record if isinstance(record, Reject) else source.read(record)
        except Reject as reject:
            yield reject
        except ValidationError as error:
            yield _malformed(explain(error))


def _questions(source: Source, files: Sequence[Path], start: int) -> Iterator[Record | Reject]:
    if source.exchanges:  # only reading tells how many questions a record has
        yield from islice(_apart(source, read_records(files)), start, None)
        return
    for record in read_records(files, start):
        yield _malformed(record.detail) if isinstance(record, Malformed) else record


def _apart(source: Source, records: Iterable[Record | Malformed]) -> Iterator[Record | Reject]:
    for record in records:
        if isinstance(record, Malformed):
            yield _malformed(record.detail)
        else:
            yield from each_question(record, "conversations", source.exchanges)


def normalise(normaliser: Normaliser, files: Sequence[Path], out: Path, threads: int | None = None) -> dict[str, Any]:
    """Write the rows of a source's files as shards; a killed run goes on after its last finished shard.

    Args:
        normaliser: how rows are made.
        files: the source's records.
        out: the folder of shards.
        threads: that decode pictures; as many as Python thinks good when None. The result does not depend on it.

    Returns:
        The folder's summary.

    Raises:
        ValueError: when a file cannot be read.
        ValueError: when `out` was begun with other settings.
    """
    source = normaliser.source
    total = count_records(files)
    settings = {
        "source": source.name,
        "files": [[path.name, path.stat().st_size] for path in files],
        "records": total,
        "seed": normaliser.seed,
        "open_ended": normaliser.open_ended.value,
        "benchmark_items": normaliser.benchmarks.items,
        "benchmarks": normaliser.benchmarks.fingerprint,
    }
    if normaliser.split != "train":
        settings["split"] = normaliser.split
    begin(out, settings)
    if summary := read_summary(out):
        return summary
    with ShardWriter(out, source.name) as writer, ThreadPoolExecutor(threads) as pool:
        number = writer.position
        items = read_items(source, files, number)
        rows = None if source.exchanges else total
        with progress_bar(total=rows, initial=number, desc=f"Normalising {source.name}", unit="row", delay=1.0) as bar:
            while chunk := list(islice(items, CHUNK)):
                made = pool.map(lambda entry: _row_or_reject(normaliser, *entry), enumerate(chunk, number))
                for index, row in enumerate(made, number):
                    if isinstance(row, Reject):
                        writer.reject(index, row.reason, row.detail)
                    else:
                        writer.add(row)
                number += len(chunk)
                bar.update(len(chunk))
    summary = {"source": source.name, **counts(out), "hub": source.hub, "licence": source.licence, **settings}
    write_json(out / "summary.json", summary)
    return summary


def prepare_source(
    name: str, location: str, images: str, out: Path, seed: int, open_ended: OpenEnded, benchmarks: Benchmarks
) -> dict[str, Any]:
    """Find a source's files, unpack its pictures, and normalise it.

    Args:
        name: of the source, see `data_prep.sources.SOURCES`.
        location: a hub id, a folder or a file; "" for the source's own hub id.
        images: where the pictures are: a hub id, a folder (unpacked or with the archives), or an archive; "" for where
            the source has them: its hub, or beside its local files.
        out: folder of the shards; pictures of archives are unpacked into its subfolder `unpacked`, which may be
            removed when summary.json is there.
        seed: see `Normaliser`.
        open_ended: see `Normaliser`.
        benchmarks: see `Normaliser`.

    Returns:
        The folder's summary.

    Raises:
        ValueError: when something is missing or cannot be read.
        ValueError: when `out` was begun with other settings.
    """
    if name not in SOURCES:
        raise ValueError(f"{name}: no such source; there are {', '.join(SOURCES)}")
    source = SOURCES[name]
    location = location or source.hub
    files = find_files(location, source.files)
    for file in files:
        if source.held_out and re.search(rf"(?<![a-z]){source.held_out}(?![a-z])", file.name.lower()):
            raise ValueError(
                f"{file}: the {source.held_out} split of {source.hub} is a benchmark; name a training file"
            )
    items = read_items(source, files) if open_ended is OpenEnded.TO_CHOICES else iter(())
    pool = AnswerPool(progress_bar(items, desc=f"Reading answers of {name}", unit="row", delay=1.0, leave=False))
    pictures = _pictures(source, location, images, out)
    return normalise(Normaliser(source, seed, open_ended, pictures, benchmarks, pool), files, out)


def prepare_easyr1(location: str, out: Path, images: Path | None, keys: Keys, split: str) -> dict[str, Any]:
    """Write the rows of a data set of EasyR1 as shards.

    Args:
        location: see `data_prep.sources.easyr1.easyr1`.
        out: folder of the shards; a killed run goes on in it.
        images: as `location`.
        keys: names of the columns.
        split: `extra_info.split` of all rows: "train" is trained on.

    Returns:
        The folder's summary.

    Raises:
        ValueError: when something cannot be read.
        ValueError: when `out` was begun with another split or other files.
    """
    source, files = easyr1(location, images, keys)
    return normalise(Normaliser(source, split=split), files, out)


def _malformed(detail: str) -> Reject:
    return Reject("malformed record", detail)


def _row_or_reject(normaliser: Normaliser, number: int, item: Item | Reject) -> dict[str, Any] | Reject:
    if isinstance(item, Reject):
        return item
    try:
        return normaliser.row(number, item)
    except Reject as reject:
        return reject


def _pictures(source: Source, location: str, images: str, out: Path) -> Pictures:
    if not source.image_hub:
        return Pictures(None)
    if not images:
        path = Path(location).expanduser()
        images = source.image_hub if is_hub_id(location) else str(path if path.is_dir() else path.parent)
    folder = Path(images).expanduser()
    if folder.is_dir() and not matching(folder, source.archives):
        return Pictures(folder)
    unpack(find_files(images, source.archives), out / "unpacked", source.parts)
    return Pictures(out / "unpacked")
