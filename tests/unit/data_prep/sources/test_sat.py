# SAT in its published format; every known defect of the release has a test here.

import pytest
from prepared import info, prepare, reasons
from source_files import (
    picture,
    sat_record,
    write_sat,
)


def test_sat_shuffles_each_row_by_its_own_seed(tmp_path):
    records = [sat_record([picture(0)], f"Question {n}?", ("a b", "c", "d")) for n in range(60)]
    source = write_sat(tmp_path / "sat", records)
    rows, _ = prepare("sat", source, tmp_path / "out")
    orders = [tuple(info(row, "choices")) for row in rows]
    assert all(sorted(order) == ["a b", "c", "d"] for order in orders)
    indices = [order.index("a b") for order in orders]
    assert {indices.count(index) > 10 for index in range(3)} == {True}
    fewer, _ = prepare("sat", write_sat(tmp_path / "fewer", records[:7]), tmp_path / "out-fewer")
    assert [info(row, "choices") for row in fewer] == [list(order) for order in orders[:7]]
    other, _ = prepare("sat", source, tmp_path / "out-other", seed=1)
    assert [tuple(info(row, "choices")) for row in other] != orders


def test_sat_forgets_in_the_first_frame(tmp_path):
    record = sat_record([picture(0)], answers=("closer In the first frame", "further in the first frame"))
    (row,), _ = prepare("sat", write_sat(tmp_path / "sat", [record]), tmp_path / "out")
    assert sorted(info(row, "choices")) == ["closer", "further"]
    assert row["reward_model"]["ground_truth"] == "closer"


def test_sat_keeps_options_that_differ_in_a_sign(tmp_path):
    answers = ("moved > 1 m", "moved < 1 m", "not moved")
    records = [sat_record([picture(0)], answers=answers, correct=right) for right in answers]
    rows, rejects = prepare("sat", write_sat(tmp_path / "sat", records), tmp_path / "out")
    assert rejects == []
    assert [row["reward_model"]["ground_truth"] for row in rows] == list(answers)
    assert all(sorted(info(row, "choices")) == sorted(answers) for row in rows)


def test_sat_keeps_two_pictures_two(tmp_path):
    first, second = picture(1, 40, 30), picture(2, 80, 60, "PNG")
    (row,), _ = prepare("sat", write_sat(tmp_path / "sat", [sat_record([first, second])]), tmp_path / "out")
    assert [image["bytes"] for image in row["images"]] == [first, second]
    assert row["prompt"][1]["content"].startswith("<image><image>Is the chair")
    assert (info(row, "width"), info(row, "height")) == (40, 30)


def test_sat_rows_that_cannot_be_used(tmp_path):
    photo = picture(0)
    records = [
        sat_record([photo], correct="up"),
        sat_record([photo], answers=("left", "Left in the first frame")),
        sat_record([photo[:200]]),
        sat_record([]),
        sat_record([photo], question=" <image> "),
        sat_record([photo]),
    ]
    rows, rejects = prepare("sat", write_sat(tmp_path / "sat", records), tmp_path / "out")
    assert [info(row, "index") for row in rows] == [5]
    assert reasons(rejects) == [
        *("the answer is none of the choices", "two choices are the same answer", "unreadable image"),
        *("malformed record", "no question"),
    ]


def test_sats_benchmark_split_is_refused(tmp_path):
    source = write_sat(tmp_path, [sat_record([picture(0)])], "SAT_test.parquet")
    with pytest.raises(ValueError, match="the test split of array/SAT is a benchmark"):
        prepare("sat", source / "SAT_test.parquet", tmp_path / "out")
    with pytest.raises(ValueError, match="holds none of"):
        prepare("sat", source, tmp_path / "out")


def test_sat_v2_is_read_too(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    record = sat_record([picture(0)]) | {"images": [{"bytes": picture(0), "path": None}]}
    del record["image_bytes"]
    (tmp_path / "data").mkdir()
    pq.write_table(pa.Table.from_pylist([record]), tmp_path / "data" / "train-00000-of-00001.parquet")
    (row,), _ = prepare("sat", tmp_path, tmp_path / "out")
    assert row["images"] == [{"bytes": picture(0)}]
