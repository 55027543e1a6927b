"""The RL set (FGRPO section A.3): 15.7K rows of SAT, 7K of VGR, 13K of Visual-CoT and 13K of TreeVGR, drawn by seed.

A validation part is split off. It shares no picture with the training part: rows are tied together by the pictures that
they have in common, and go to one part or the other as a whole.
"""

from __future__ import annotations

import hashlib
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from data_prep.record import command_line
from data_prep.sets.portions import Portion, check_enough, described
from data_prep.shards import read_rows, read_summary, shard_paths
from easyr1_fgrpo.files import begin, write_json
from easyr1_fgrpo.rows import ParquetWriter, Row, count_rows, explain
from easyr1_fgrpo.terminal import progress_bar

if TYPE_CHECKING:
    from numpy.typing import NDArray

PARTS = ("train", "val")

WITHOUT_BOXES = frozenset({"visual_cot"})
"""Sources whose boxes are left out: FGRPO rewards boxes on VGR and TreeVGR rows only. Visual-CoT's show the region that
helps to answer, the union of everything in it, and a policy that boxes the objects would be marked down for that."""

Drawn = Mapping[Portion, "NDArray[np.int64]"]


def mix(portions: Sequence[Portion], out: Path, val: int, seed: int) -> list[dict[str, Any]]:
    """Write `out/train.parquet` and `out/val.parquet`, then `out/summary.json`; a finished mix is left as it is.

    Rows keep the order of their sources; the trainer shuffles. Each part is a split of that name with indices from 0.
    Nothing else of a row is changed, but for boxes of `WITHOUT_BOXES`.

    Args:
        portions: filtered sources and how many rows to draw of each, without replacement.
        out: the folder to write.
        val: rows for validation, out of the drawn ones; some fewer when the rest are tied to too many others.
        seed: of all draws. A source's draw does not depend on the other sources.

    Returns:
        One summary a portion.

    Raises:
        ValueError: when there are fewer rows than asked for, a row is invalid, or `out` was begun with other settings.
    """
    if val >= sum(portion.count for portion in portions):
        raise ValueError(f"val={val} leaves nothing to train on: {sum(p.count for p in portions)} rows are drawn")
    sizes = {portion: sum(map(count_rows, shard_paths(portion.folder))) for portion in portions}
    for portion in portions:
        check_enough(portion, sizes[portion])
    settings = {"seed": seed, "val": val, **described(portions)}
    begin(out, settings)
    if (summary := read_summary(out)) is not None:
        return list(summary["sources"])
    drawn = {portion: draw(portion, sizes[portion], seed) for portion in portions}
    validation = split_off([_pictures(row) for _, row in _rows(drawn, "Reading pictures", ["images"])], val, seed)
    parts = _write(drawn, validation, out)
    sources = [
        {
            "stage": "mix",
            "source": portion.name,
            "in": sizes[portion],
            "out": portion.count,
            "rejected": {"not_drawn": sizes[portion] - portion.count},
            **{part: parts[part, portion.name] for part in PARTS},
        }
        for portion in portions
    ]
    write_json(out / "summary.json", settings | {"sources": sources, "command": command_line()})
    return sources


def draw(portion: Portion, available: int, seed: int) -> NDArray[np.int64]:
    """Row numbers of a portion, ascending, without replacement."""
    rng = np.random.default_rng([seed, zlib.crc32(portion.name.encode())])
    return np.sort(rng.choice(available, portion.count, replace=False))


def split_off(pictures: Sequence[Sequence[bytes]], wanted: int, seed: int) -> set[int]:
    """Choose rows that share no picture with the rows left.

    Args:
        pictures: the hashes of every row's pictures.
        wanted: how many rows; a group of tied rows that is larger than what is missing stays behind.
        seed: of the order in which groups are tried.

    Returns:
        Row numbers, `wanted` or as many as the groups allow.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    number = {picture: count for count, picture in enumerate(dict.fromkeys(p for row in pictures for p in row))}
    rows, columns = [], []
    for index, row in enumerate(pictures):
        rows += [index] * len(row)
        columns += [len(pictures) + number[picture] for picture in row]
    size = len(pictures) + len(number)
    ties = coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(size, size))
    group_of = connected_components(ties, directed=False)[1][: len(pictures)]
    sizes = Counter(group_of.tolist())
    left, chosen = wanted, set()
    for group in np.random.default_rng([seed, wanted]).permutation(sorted(sizes)).tolist():
        if sizes[group] <= left:
            left -= sizes[group]
            chosen.add(group)
    return {index for index, group in enumerate(group_of.tolist()) if group in chosen}


def _rows(drawn: Drawn, label: str, columns: Sequence[str] | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """The drawn rows with their source's name, in order, a few in memory at a time."""
    total = sum(map(len, drawn.values()))
    with progress_bar(total=total, desc=label, unit="row", delay=1.0) as bar:
        for portion, numbers in drawn.items():
            wanted = set(numbers.tolist())
            for number, row in enumerate(read_rows(portion.folder, columns)):
                if number in wanted:
                    yield portion.name, row
                    bar.update()


def _write(drawn: Drawn, validation: set[int], out: Path) -> Counter[tuple[str, str]]:
    """Write both parts in one pass; returns the rows of each part and source."""
    counts: Counter[str] = Counter()
    by_source: Counter[tuple[str, str]] = Counter()
    with ExitStack() as opened:
        files = {part: opened.enter_context(ParquetWriter(out / f"{part}.parquet")) for part in PARTS}
        for number, (source, row) in enumerate(_rows(drawn, "Writing the mix")):
            part = "val" if number in validation else "train"
            row["extra_info"] |= {"split": part, "index": counts[part]}
            if row["data_source"] in WITHOUT_BOXES:
                row["extra_info"]["boxes"] = []
            _check(source, row)
            files[part].add(row)
            counts[part] += 1
            by_source[part, source] += 1
    return by_source


def _check(source: str, row: Mapping[str, Any]) -> None:
    try:
        Row.model_validate(row)
    except ValidationError as error:
        raise ValueError(f"{source}: a row is invalid: {explain(error)}") from None


def _pictures(row: Mapping[str, Any]) -> list[bytes]:
    return [hashlib.sha256(image["bytes"]).digest() for image in row["images"]]
