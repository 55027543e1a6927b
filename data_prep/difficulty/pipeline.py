"""The Ray Data pipeline of the difficulty filter: rows that lack rollouts go in, the rollouts' texts come out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from data_prep.difficulty.rollouts import Sampling, row_key
from data_prep.shards import read_rows, shard_paths

if TYPE_CHECKING:
    from data_prep.difficulty.rollout_engines import Endpoint, Vllm

ASKED_COLUMNS = ["prompt", "images", "reward_model", "extra_info"]


def row_keys(name: str, rows: Path) -> Iterator[str]:
    """Keys of a source's rows, in their order; `rows` is its folder or one of its shards."""
    for row in read_rows(rows, ["extra_info.split", "extra_info.index"]):
        yield row_key(name, row["extra_info"])


def rollout_texts(
    sources: Mapping[str, Path], pending: Mapping[str, list[int]], asked: Endpoint | Vllm, sampling: Sampling
) -> Iterator[list[dict[str, Any]]]:
    """Shards with pending rows -> those rows -> their rollouts, a block at a time.

    Args:
        sources: folders of shards by their names.
        pending: numbers of the rollouts that a row lacks, by its key.
        asked: who makes the rollouts.
        sampling: with which model and seeds.
    """
    import ray
    from ray.data import read_parquet

    from data_prep.difficulty.rollout_engines import BLOCK_ROWS

    names = {
        str(shard.resolve()): name
        for name, folder in sources.items()
        for shard in shard_paths(folder)
        if any(key in pending for key in row_keys(name, shard))
    }
    rows = read_parquet(list(names), include_paths=True).select_columns([*ASKED_COLUMNS, "path"])
    rows = rows.map_batches(
        _pending_rows, fn_args=(names, ray.put(dict(pending))), batch_size=None, batch_format="pyarrow"
    )
    texts = asked.engine(sampling)(rows.repartition(target_num_rows_per_block=BLOCK_ROWS))
    for block in texts.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        yield block.to_pylist()


def _pending_rows(rows: pa.Table, names: Mapping[str, str], pending_ref: Any) -> pa.Table:
    """The rows that lack rollouts, with `key` and the numbers of the `missing` ones."""
    import ray

    pending = ray.get(pending_ref)
    infos, paths = rows["extra_info"].to_pylist(), rows["path"].to_pylist()
    keys = [row_key(names[path], info) for path, info in zip(paths, infos, strict=True)]
    rows = rows.drop_columns(["path"]).append_column("key", pa.array(keys, pa.string()))
    rows = rows.append_column("missing", pa.array([pending.get(key) for key in keys], pa.list_(pa.int64())))
    return rows.filter(rows["missing"].is_valid())
