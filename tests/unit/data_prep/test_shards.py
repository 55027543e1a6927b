import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_prep.shards import (
    SHARD_ROWS,
    ShardWriter,
    counts,
    read_rejects,
    read_rows,
    read_summary,
    shard_paths,
)
from easyr1_fgrpo.files import write_json
from easyr1_fgrpo.rows import ROW_SCHEMA, ExtraInfo, Row, write_rows


def row(index):
    info = {
        "index": index,
        "split": "train",
        "question": f"question {index}",
        "choices": ["a"],
        "boxes": [[0, 0, 1, 1]],
    }
    return {"data_source": "test", "images": [{"bytes": b"picture"}], "extra_info": info}


def fill(folder, rows, stop=None):
    """Every third row is rejected; `stop` breaks off without finishing the shard."""
    with ShardWriter(folder, "test") as writer:
        for number in range(writer.position, rows):
            if number == stop:
                raise KeyboardInterrupt
            if number % 3:
                writer.add(row(number))
            else:
                writer.reject(number, "a third", f"number {number}")


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_rows_and_rejects_come_back_in_order(tmp_path):
    fill(tmp_path, 2500)
    assert [path.name for path in shard_paths(tmp_path)] == [f"rows-0000{n}.parquet" for n in range(3)]
    assert [one["extra_info"]["index"] for one in read_rows(tmp_path)] == [n for n in range(2500) if n % 3]
    assert [one["row"] for one in read_rejects(tmp_path)] == [n for n in range(2500) if n % 3 == 0]
    assert counts(tmp_path) == {"in": 2500, "out": 1666, "rejected": {"a third": 834}}
    assert all(pq.read_metadata(path).num_rows <= SHARD_ROWS for path in shard_paths(tmp_path))


@pytest.mark.parametrize("stops", [[0], [999], [1000], [1700, 2400], [2499]])
def test_a_broken_off_run_goes_on_and_ends_in_the_same_bytes(tmp_path, stops):
    fill(tmp_path / "whole", 2500)
    for stop in stops:
        with pytest.raises(KeyboardInterrupt):
            fill(tmp_path / "broken", 2500, stop)
        assert not list((tmp_path / "broken").glob(".*"))
        assert ShardWriter(tmp_path / "broken", "test").position == stop // 1000 * 1000
    fill(tmp_path / "broken", 2500)
    fill(tmp_path / "broken", 2500)
    assert contents(tmp_path / "broken") == contents(tmp_path / "whole")


def test_rejects_without_their_rows_are_made_again(tmp_path):
    fill(tmp_path / "whole", 1500)
    fill(tmp_path / "killed", 1500)
    (tmp_path / "killed" / "rows-00001.parquet").unlink()  # killed between the two files of a shard
    (tmp_path / "killed" / ".rows-00001.parquet.part").write_bytes(b"half")
    fill(tmp_path / "killed", 1500)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_columns_can_be_chosen(tmp_path):
    fill(tmp_path, 10)
    assert next(read_rows(tmp_path, ["extra_info.question"])) == {"extra_info": {"question": "question 1"}}
    chosen = next(read_rows(tmp_path, ["data_source", "extra_info.boxes", "extra_info.choices"]))
    assert chosen == {"data_source": "test", "extra_info": {"boxes": [[0, 0, 1, 1]], "choices": ["a"]}}


def test_one_file_and_no_file(tmp_path):
    path = tmp_path / "some.parquet"
    assert write_rows(path, map(row, range(250))) == 250
    assert len(list(read_rows(path))) == 250
    assert pq.read_metadata(path).row_group(0).num_rows == 100
    with pytest.raises(FileNotFoundError, match="no such file, nor a folder"):
        next(read_rows(tmp_path / "nothing"))


def test_a_row_that_is_none_leaves_no_file(tmp_path):
    with pytest.raises(pa.ArrowException):
        write_rows(tmp_path / "some.parquet", [row(0) | {"images": "none"}])
    assert not (tmp_path / "some.parquet").exists()


def test_summary(tmp_path):
    assert read_summary(tmp_path) is None
    write_json(tmp_path / "summary.json", {"in": 1})
    assert read_summary(tmp_path) == {"in": 1}
    assert json.loads((tmp_path / "summary.json").read_text()) == {"in": 1}


def test_the_schema_has_what_a_row_needs():
    assert set(ROW_SCHEMA.names) == set(Row.model_fields)
    assert {field.name for field in ROW_SCHEMA.field("extra_info").type} >= set(ExtraInfo.model_fields)


def test_what_is_no_folder_of_shards_or_no_parquet_is_named(tmp_path):
    (tmp_path / "train.parquet").write_text("{}")
    with pytest.raises(FileNotFoundError, match=r"name one of its files: train\.parquet"):
        shard_paths(tmp_path)
    with pytest.raises(ValueError, match=r"train\.parquet: no parquet file \(.*`fgrpo data import` makes one of rows"):
        list(read_rows(tmp_path / "train.parquet"))
