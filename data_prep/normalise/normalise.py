"""Stage 1: one public source -> a folder of shards in the one row schema, and what was left out with its reason."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from tqdm import tqdm

from data_prep.normalise.decontaminate import Benchmarks
from data_prep.normalise.open_ended import AnswerPool, OpenEnded, check_length
from data_prep.shards import ShardWriter, counts, read_summary, write_json
from data_prep.sources import SOURCES, Item, Reject, Source, SourceError
from data_prep.sources.boxes import BoxError, to_pixels
from data_prep.sources.files import count_records, find_files, is_hub_id, matching, read_records
from data_prep.sources.pictures import Pictures, keep_bytes, unpack
from data_prep.sources.text import right_choice
from easyr1_fgrpo.rows import Row, explain
from easyr1_fgrpo.task_prompt import prompt_messages

CHUNK = 64
"""Source rows in memory at a time; their pictures are decoded in parallel."""


@dataclass(frozen=True)
class Normaliser:
    """Turns the records of one source into rows.

    Attributes:
        source: what is read.
        seed: of the shuffled choices and drawn options; every row has a generator of its own, made of the seed, the
            source's name and the row's number.
        open_ended: what becomes of questions without choices.
        pictures: where paths of pictures lead.
        benchmarks: what must not come out.
        pool: where options are drawn from.
    """

    source: Source
    seed: int = 0
    open_ended: OpenEnded = OpenEnded.KEEP
    pictures: Pictures = field(default_factory=lambda: Pictures(None))
    benchmarks: Benchmarks = field(default_factory=Benchmarks)
    pool: AnswerPool = field(default_factory=AnswerPool)

    def row(self, number: int, item: Item) -> dict[str, Any]:
        """The row of an item, in the columns of `data_prep.shards.ROW_SCHEMA`, checked.

        Raises:
            Reject: when it cannot be used.
        """
        choices = self._choices(item, random.Random(f"{self.seed} {self.source.name} {number}"))
        answer = right_choice(item.answer, choices) if choices else item.answer
        encoded, opened = zip(*(keep_bytes(self.pictures.read(ref)) for ref in item.images), strict=True)
        width, height = opened[0].size
        if item.size not in (None, (width, height)):
            raise Reject("image of another size", f"{width} x {height}, the source says {item.size}")
        try:
            boxes = [to_pixels(box, item.convention, width, height) for box in item.boxes]
        except BoxError as error:
            raise Reject("box cannot be used", str(error)) from None
        self.benchmarks.check(item.question, opened)
        row = {
            "data_source": self.source.name,
            "prompt": prompt_messages(item.question, choices, len(encoded)),
            "images": [{"bytes": data} for data in encoded],
            "reward_model": {"style": "rule", "ground_truth": answer},
            "extra_info": {
                "index": number,
                "split": "train",
                "question": item.question,
                "choices": list(choices),
                "source": self.source.name,
                "boxes": [list(box) for box in boxes],
                "width": width,
                "height": height,
                "dataset": item.dataset,
                "question_type": item.question_type,
                "licence": self.source.licence,
            },
        }
        try:
            Row.model_validate(row)
        except ValidationError as error:
            raise Reject("breaks the row schema", explain(error)) from None
        return row

    def _choices(self, item: Item, rng: random.Random) -> tuple[str, ...]:
        if not item.choices:
            if self.open_ended is OpenEnded.DROP:
                raise Reject("open-ended question")
            if self.open_ended is OpenEnded.TO_CHOICES:
                return self.pool.choices(item, rng)
            check_length(item.answer)
        return tuple(rng.sample(item.choices, len(item.choices))) if item.shuffle else item.choices


def read_items(source: Source, files: Sequence[Path], start: int = 0) -> Iterator[Item | Reject]:
    """What a source's files say, one entry a record, from number `start` on; no picture is opened.

    Raises:
        SourceError: when a file cannot be read.
    """
    for record in read_records(files, start):
        try:
            yield record if isinstance(record, Reject) else source.read(record)
        except Reject as reject:
            yield reject
        except ValidationError as error:
            yield Reject("malformed record", explain(error))


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
        SourceError: when a file cannot be read, or when `out` was begun with other settings.
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
    _begin(out, settings)
    if summary := read_summary(out):
        return summary
    with ShardWriter(out, source.name) as writer, ThreadPoolExecutor(threads) as pool:
        number = writer.position
        items = read_items(source, files, number)
        with tqdm(total=total, initial=number, desc=f"Normalising {source.name}", unit="row", delay=1.0) as bar:
            while chunk := list(islice(items, CHUNK)):
                made = pool.map(lambda entry: _row_or_reject(normaliser, *entry), enumerate(chunk, number))
                for place, row in enumerate(made, number):
                    if isinstance(row, Reject):
                        writer.reject(place, row.reason, row.detail)
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
        SourceError: when something is missing or cannot be read, or when `out` was begun with other settings.
    """
    if name not in SOURCES:
        raise SourceError(f"{name}: no such source; there are {', '.join(SOURCES)}")
    source = SOURCES[name]
    location = location or source.hub
    files = find_files(location, source.files)
    for file in files:
        if source.held_out and re.search(rf"(?<![a-z]){source.held_out}(?![a-z])", file.name.lower()):
            raise SourceError(
                f"{file}: the {source.held_out} split of {source.hub} is a benchmark; name a training file"
            )
    items = read_items(source, files) if open_ended is OpenEnded.TO_CHOICES else iter(())
    pool = AnswerPool(tqdm(items, desc=f"Reading answers of {name}", unit="row", delay=1.0, leave=False))
    pictures = _pictures(source, location, images, out)
    return normalise(Normaliser(source, seed, open_ended, pictures, benchmarks, pool), files, out)


def _row_or_reject(normaliser: Normaliser, number: int, item: Item | Reject) -> dict[str, Any] | Reject:
    if isinstance(item, Reject):
        return item
    try:
        return normaliser.row(number, item)
    except Reject as reject:
        return reject


def _begin(out: Path, settings: dict[str, Any]) -> None:
    """Write down what the folder is made with, or compare with what it was begun with."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "settings.json"
    if not path.exists():
        write_json(path, settings)
    elif (before := json.loads(path.read_text(encoding="utf-8"))) != settings:
        changed = [key for key in settings if before.get(key) != settings[key]]
        was = ", ".join(f"{key}={before.get(key)!r}" for key in changed)
        raise SourceError(f"{out}: was begun with other settings ({was}); remove it or choose another folder")


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
