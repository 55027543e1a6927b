import pytest
from source_files import make_sources

from data_prep.normalise.decontaminate import Benchmarks
from data_prep.normalise.normalise import prepare_source
from data_prep.normalise.open_ended import OpenEnded
from data_prep.sets.validate import validate
from data_prep.shards import read_rows
from easyr1_fgrpo.rows import write_rows


@pytest.fixture
def folder(tmp_path):
    make_sources(tmp_path, rows=8)
    prepare_source("treevgr", str(tmp_path / "treevgr"), "", tmp_path / "out", 0, OpenEnded.KEEP, Benchmarks())
    return tmp_path / "out"


def test_totals(folder):
    problems, totals = validate([folder])
    assert problems == []
    assert totals == {
        **{"files": 1, "rows": 8, "rows with boxes": 8, "boxes": 12, "pictures": 8},
        **{"multiple-choice rows": 4, "open-ended rows": 4},
    }


def test_places_are_sets_of_their_own_and_files_of_a_folder_are_one(folder):
    assert validate([folder, folder / "rows-00000.parquet"])[0] == []
    write_rows(folder / "rows-00001.parquet", list(read_rows(folder))[:1])
    problems, _ = validate([folder])
    assert len(problems) == 1
    assert "the extra_info.index and split of" in problems[0]


def test_an_empty_shard_is_no_problem_but_an_empty_folder_is(folder):
    write_rows(folder / "rows-00001.parquet", [])
    assert validate([folder])[0] == []
    write_rows(folder / "rows-00000.parquet", [])
    problems, totals = validate([folder])
    assert problems == [f"{folder / 'rows-00000.parquet'}: no rows"]
    assert not totals


def test_a_bad_row_and_a_file_that_is_none(folder):
    rows = list(read_rows(folder))
    rows[3]["extra_info"]["boxes"] = [[0, 0, 97, 10]]
    write_rows(folder / "rows-00000.parquet", rows)
    (folder / "other.parquet").write_bytes(b"PAR1")
    problems, totals = validate([folder, folder / "other.parquet"])
    assert [problem.split(":")[0] for problem in problems] == [
        f"{folder / 'rows-00000.parquet'} row 3",
        str(folder / "other.parquet"),
    ]
    assert not totals
