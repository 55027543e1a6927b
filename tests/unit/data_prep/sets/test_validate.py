import pytest
from source_files import make_sources, picture

from data_prep.normalise.decontaminate import Benchmarks
from data_prep.normalise.normalise import prepare_source
from data_prep.normalise.open_ended import OpenEnded
from data_prep.sets.validate import validate
from data_prep.shards import read_rows
from easyr1_fgrpo.rows import CONVERSATION_SCHEMA, write_rows


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


def test_problems_of_one_cause_are_one_line(folder):
    rows = list(read_rows(folder))
    for number in (1, 3, 4):
        rows[number]["extra_info"]["boxes"] = [[0, 0, 97 + number, 10]]
    rows[6]["extra_info"]["question"] = " "
    write_rows(folder / "rows-00000.parquet", rows)
    outside, blank = validate([folder])[0]
    assert outside.startswith(
        f"{folder / 'rows-00000.parquet'} row 1: extra_info: box [0, 0, 98, 10] is not a box inside"
    )
    assert outside.endswith(" (and 2 more like it)")
    assert "row 6: extra_info.question: is blank" in blank


def test_a_picture_in_two_splits_is_found(folder, tmp_path):
    rows = list(read_rows(folder))
    assert {row["extra_info"]["split"] for row in rows} == {"train"}
    for row in rows[:3]:
        row["extra_info"]["split"] = "val"
    write_rows(tmp_path / "val.parquet", rows[:3])
    (problem,), _ = validate([folder, tmp_path / "val.parquet"])
    assert problem.startswith(f"{tmp_path / 'val.parquet'}: 3 of its pictures are in {folder / 'rows-00000.parquet'}")


def trace(
    response="<think>It is <bbox>[1,2,3,4]</bbox>.</think><answer>red</answer>", question="<image>Which?", **more
):
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": response}]
    return {"messages": messages, "images": [{"bytes": picture(0)}]} | more


def test_traces_for_the_warm_start(tmp_path):
    good, bad = tmp_path / "good.parquet", tmp_path / "bad.parquet"
    write_rows(good, [trace(), trace()], CONVERSATION_SCHEMA)
    problems, totals = validate([good])
    assert (problems, totals) == ([], {"files": 1, "traces": 2, "pictures": 2})
    wrong = {
        "messages have 0 <image> marks for 1 images": trace(question="Which?"),
        "the response is not <think>reasoning</think><answer>answer</answer>": trace("It is red."),
        "of 1 boxes in the response 1 cannot be read": trace("<think><bbox>[1,2]</bbox></think><answer>red</answer>"),
        "messages: end with ['user'], not with": trace(messages=[{"role": "user", "content": "<image>?"}]),
        "unreadable image": trace(images=[{"bytes": b"no picture"}]),
        "messages.1.content: is blank": trace(""),
    }
    write_rows(bad, [trace(), *wrong.values(), trace("It is blue.")], CONVERSATION_SCHEMA)
    problems, totals = validate([bad])
    assert not totals
    assert len(problems) == len(wrong)
    for number, (cause, problem) in enumerate(zip(wrong, problems, strict=True), 1):
        assert problem.startswith(f"{bad} row {number}: ")
        assert cause in problem
    assert problems[1].endswith(" (and 1 more like it)")
    write_rows(bad, [], CONVERSATION_SCHEMA)
    assert validate([bad])[0] == [f"{bad}: no rows"]
