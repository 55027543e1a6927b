"""`fgrpo data import`: a file of questions about pictures -> train.parquet, val.parquet and what was left out.

    train.parquet, val.parquet   rows as `easyr1_fgrpo.rows` defines them; their index is the question's number
    rejects.jsonl                {"source", "row", "reason", "detail"} a line
    summary.json                 written last: the columns, {"in", "out": {split: rows}, "rejected": {reason: count}}

No picture is in two splits. Splits that are not in the file are made, `val` out of `train` where it alone is missing:
rows are tied together by the pictures that they share, and go to one split or the other as a whole.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from data_prep.normalise.row import Normaliser
from data_prep.own.look import TRAIN, VAL, Entry, Found, Wishes, entries, item_or_reject, most
from data_prep.sets.mix import split_off
from data_prep.shards import read_rows
from data_prep.sources import Reject, Source
from easyr1_fgrpo.files import whole_folder, write_json, write_whole
from easyr1_fgrpo.rows import ParquetWriter
from easyr1_fgrpo.terminal import progress_bar

CHUNK = 64
"""Questions in memory at a time; their pictures are decoded in parallel."""

_SPLIT_NAME = re.compile(r"[a-z0-9_-]+")


def import_rows(found: Found, out: Path, wishes: Wishes) -> dict[str, Any]:
    """Write the splits.

    Args:
        found: of `look`.
        out: a new folder; it appears when everything in it is written.
        wishes: the same.

    Returns:
        What is in summary.json.

    Raises:
        ValueError: when a file cannot be read, or when nothing is left to train or to validate on.
        FileExistsError: when `out` holds something.
    """
    with whole_folder(out) as folder:
        everything = folder / ".rows.parquet"
        read, kept, rejects = _read(found, out.name, everything)
        splits, how = _splits(kept, wishes, found.split_by)
        rejects += [_reject(row, Reject("its picture is in another split")) for row in kept if not splits[row.number]]
        out_of = Counter(filter(None, splits.values()))
        rejected = Counter(entry["reason"] for entry in rejects)
        if not out_of[TRAIN] or len(out_of) < 2:
            raise ValueError(
                f"{len(kept)} rows with {len({picture for row in kept for picture in row.pictures})} pictures leave "
                f"{out_of[TRAIN]} to train and {out_of.total() - out_of[TRAIN]} to validate on (splits: {how}; "
                f"rejected: {most(rejected) or 'none'}): more pictures are needed, or a larger --val"
            )
        if read != out_of.total() + len(rejects):
            raise RuntimeError(f"{read} questions in, {out_of.total()} rows out, {len(rejects)} rejects")
        _write(everything, splits, folder)
        everything.unlink()
        rejects.sort(key=lambda entry: entry["row"])
        write_whole(folder / "rejects.jsonl", "".join(json.dumps(entry) + "\n" for entry in rejects))
        summary = {
            "source": out.name,
            "files": [file.name for file in found.files],
            "columns": {part: getattr(found.columns, part) for part in found.columns.reasons},
            "answers": found.reader.form.value,
            "box_form": found.reader.box_form,
            "splits": how,
            "in": read,
            "out": dict(out_of),
            "rejected": dict(sorted(rejected.items())),
        }
        write_json(folder / "summary.json", summary)
    return summary


# ---------------------------------------------------------------------- rows and splits


class _Kept(NamedTuple):
    """A row that can be used, by the number of its question; its pictures by their hashes."""

    number: int
    source: str
    split: str
    pictures: tuple[bytes, ...]


def _read(found: Found, name: str, out: Path) -> tuple[int, list[_Kept], list[dict[str, Any]]]:
    """Write all rows into one file; returns how many questions there were, what became rows, and the rejects."""
    normaliser = Normaliser(Source(name, "", "not stated", (), found.reader.item))
    read, kept, rejects = 0, [], []
    with ParquetWriter(out) as writer:
        for entry, row in _rows(found, normaliser):
            read += 1
            if isinstance(row, Reject):
                rejects.append(_reject(entry, row))
            else:
                writer.add(row)
                pictures = tuple(hashlib.sha256(image["bytes"]).digest() for image in row["images"])
                kept.append(_Kept(entry.number, entry.source, entry.split, pictures))
    return read, kept, rejects


def _rows(found: Found, normaliser: Normaliser) -> Iterator[tuple[Entry, dict[str, Any] | Reject]]:
    def row(entry: Entry) -> dict[str, Any] | Reject:
        if found.split_by and not _SPLIT_NAME.fullmatch(entry.split):
            return Reject("no name of a split", repr(entry.split))
        item = item_or_reject(found.reader, entry.record)
        try:
            return item if isinstance(item, Reject) else normaliser.row(entry.number, item)
        except Reject as reject:
            return reject

    source = entries(found)
    with ThreadPoolExecutor() as pool, progress_bar(desc="Importing", unit="row", delay=1.0) as bar:
        while chunk := list(islice(source, CHUNK)):
            yield from zip(chunk, pool.map(row, chunk), strict=True)
            bar.update(len(chunk))


def _reject(entry: Entry | _Kept, reject: Reject) -> dict[str, Any]:
    return {"source": entry.source, "row": entry.number, "reason": reject.reason, "detail": reject.detail}


def _splits(kept: Sequence[_Kept], wishes: Wishes, split_by: str) -> tuple[dict[int, str], str]:
    """The split of every row by its number, "" for one whose picture another split keeps; and how they came about.

    A picture stays with the split that is furthest from training: what is trained on may lose rows, a test may not.
    """
    names = sorted({row.split for row in kept})
    if len(names) < 2:
        chosen = split_off([row.pictures for row in kept], round(wishes.val * len(kept)), wishes.seed)
        splits = {row.number: VAL if place in chosen else TRAIN for place, row in enumerate(kept)}
        why = f", as the file has {names[0]} only" if names and names[0] else ""
        return splits, f"made{why}: {wishes.val:.0%} for validation, seed {wishes.seed}"
    order = {name: (name != TRAIN, name != VAL, name) for name in names}
    owner: dict[bytes, str] = {}
    for row in sorted(kept, key=lambda row: order[row.split]):
        owner |= dict.fromkeys(row.pictures, row.split)
    splits = {row.number: row.split if {owner[p] for p in row.pictures} == {row.split} else "" for row in kept}
    if TRAIN not in names or VAL in names:
        return splits, split_by
    trained = [row for row in kept if splits[row.number] == TRAIN]
    chosen = split_off([row.pictures for row in trained], math.ceil(wishes.val * len(trained)), wishes.seed)
    splits |= {trained[place].number: VAL for place in chosen}
    return splits, f"{split_by}; val made, as the file has none: {wishes.val:.0%} of train, seed {wishes.seed}"


def _write(everything: Path, splits: Mapping[int, str], folder: Path) -> None:
    with ExitStack() as opened:
        files: dict[str, ParquetWriter] = {}
        for row in read_rows(everything):
            if not (split := splits[row["extra_info"]["index"]]):
                continue
            if split not in files:
                files[split] = opened.enter_context(ParquetWriter(folder / f"{split}.parquet"))
            row["extra_info"]["split"] = split
            files[split].add(row)
