import json
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl import Workbook

from easyr1_fgrpo.published import lines
from easyr1_fgrpo.published.files import find_files, is_hub_id
from easyr1_fgrpo.published.record import Malformed
from easyr1_fgrpo.published.records import count_records, filled_lines, read_records


def write(path, records):
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(records), path, row_group_size=100)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    else:
        path.write_text(json.dumps(records, indent=1))
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".json"])
@pytest.mark.parametrize("start", [0, 1, 99, 100, 250, 449, 450, 500])
def test_reading_goes_on_anywhere(tmp_path, suffix, start):
    records = [{"n": n, "text": "ü" * (n % 7)} for n in range(450)]
    files = [write(tmp_path / f"a{suffix}", records[:250]), write(tmp_path / f"b{suffix}", records[250:])]
    assert list(read_records(files, start)) == records[start:]
    assert count_records(files) == (None if suffix == ".json" else 450)


def test_a_json_array_larger_than_the_buffer(tmp_path):
    records = [{"n": n, "text": "x" * 300_000} for n in range(9)]
    assert list(read_records([write(tmp_path / "a.json", records)])) == records


def test_damaged_json(tmp_path):
    lines = tmp_path / "a.jsonl"
    lines.write_bytes(b'{"n": 1}\n\n{"n": \n3\n\xff\xfe\n{"n": 2}\n')
    first, *bad, last = read_records([lines])
    assert (first, last) == ({"n": 1}, {"n": 2})
    assert [type(record) for record in bad] == [Malformed] * 3
    array = tmp_path / "a.json"
    array.write_text('[{"n": 1}, {"n": ')
    with pytest.raises(ValueError, match=r"a\.json: is damaged or cut off"):
        list(read_records([array]))
    array.write_text('{"n": 1}')
    with pytest.raises(ValueError, match="no JSON array"):
        list(read_records([array]))


def test_damaged_parquet_and_other_files(tmp_path):
    path = write(tmp_path / "a.parquet", [{"n": 1}])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"a\.parquet: cannot be read as parquet"):
        list(read_records([path]))
    (tmp_path / "a.xml").write_text("<n>1</n>")
    with pytest.raises(ValueError, match=r"neither \.parquet nor \.jsonl nor \.json"):
        list(read_records([tmp_path / "a.xml"]))


def test_tables_and_records_without_names(tmp_path):
    for name, text in {
        "a.csv": 'n,t\n1,"x, y"\n2,z\n',
        "a.tsv": "n\tt\n1\tx, y\n2\tz\n",
        "b.csv": "n;t\n1;x, y\n2;z\n",
    }.items():
        (tmp_path / name).write_text(text, encoding="utf-8-sig")
        assert list(read_records([tmp_path / name])) == [{"n": "1", "t": "x, y"}, {"n": "2", "t": "z"}]
    (tmp_path / "a.csv").write_text("n,t\n1,2,3\n4,5\n")
    assert list(read_records([tmp_path / "a.csv"])) == [Malformed("more cells than the header"), {"n": "4", "t": "5"}]
    (tmp_path / "c.csv").write_text("n,t,n\n1,2,3\n")
    with pytest.raises(ValueError, match=r"c\.csv: its header names the column 'n' twice"):
        list(read_records([tmp_path / "c.csv"]))
    (tmp_path / "b.csv").write_bytes(b"n,t\n1,\xff\n")
    with pytest.raises(ValueError, match=r"b\.csv: cannot be read as CSV"):
        list(read_records([tmp_path / "b.csv"]))
    assert list(read_records([write(tmp_path / "a.json", [["x", 0], 3])])) == [
        {"0": "x", "1": 0},
        Malformed("no JSON object"),
    ]


def test_the_first_pattern_with_files_counts(tmp_path):
    assert is_hub_id("array/SAT")
    assert not is_hub_id(str(tmp_path))
    for name in ("b.parquet", "a.parquet", "x.json"):
        (tmp_path / name).touch()
    assert find_files(str(tmp_path), ["data/*.parquet", "x.json"]) == [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    assert find_files(str(tmp_path / "x.json"), ["*.parquet"]) == [tmp_path / "x.json"]


def test_one_huge_row_group_is_read_in_flat_memory(tmp_path):
    """SAT's training file, smaller: 200 MB of incompressible pictures in one row group, in pages of 1,024 rows."""
    path, rows = tmp_path / "SAT_train.parquet", 8000
    noise = np.random.default_rng(0).bytes(1_000_000)
    pictures = [[noise[n * 100 : n * 100 + 25_000]] for n in range(rows)]
    pq.write_table(pa.table({"image_bytes": pictures, "n": range(rows)}), path, row_group_size=rows)
    del pictures
    code = """
import sys
from pathlib import Path
from easyr1_fgrpo.published.records import read_records
def peak_mb():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024

before = peak_mb()
print(sum(record["n"] for record in read_records([Path(sys.argv[1])])))
print(peak_mb() - before)
"""
    done = subprocess.run([sys.executable, "-c", code, path], stdout=subprocess.PIPE, text=True, check=True)
    total, grown_mb = done.stdout.split()
    assert int(total) == sum(range(rows))
    assert float(grown_mb) < 180  # unbuffered it is 300


def test_texts_of_other_systems(tmp_path):
    rows = [{"n": "1", "t": "ü"}]
    for name, text, encoding in [
        ("a.csv", "n,t\r\n1,ü\r\n", "utf-16"),
        ("b.csv", "sep=;\r\nn;t\r\n1;ü\r\n", "utf-8-sig"),
        ("a.tsv", "n\tt\r\n\r\n1\tü\r\n", "utf-16"),
        ("a.json", json.dumps(rows), "utf-8-sig"),
        ("b.json", json.dumps({"rows": rows}), "utf-16"),
        ("c.json", '{"n": "1", "t": "ü"}\n\n{"n": "1", "t": "ü"}\n', "utf-8-sig"),
        ("d.json", '{"n": "1", "t": "ü"}\n3\n', "utf-8"),
    ]:
        (tmp_path / name).write_text(text, encoding=encoding, newline="")
        more = {"c.json": rows, "d.json": [Malformed("no JSON object")]}.get(name, [])
        assert list(read_records([tmp_path / name])) == [*rows, *more], name
    for name, text, why in [
        ("a.tsv", 'n\tt\n1\t"a" b\n2\tc\n', r"line 2: '\t' expected after '\"'"),
        ("a.csv", 'n,t\n1,"a\n2,b\n', "line 3: unexpected end of data"),
        ("a.json", '[{"n": 1}]\n[{"n": 2}]', r"goes on behind the end of its array, with '\[{"),
    ]:
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError, match=why):
            list(read_records([tmp_path / name]))
    (tmp_path / "a.json").write_bytes(b'[{"n": "\xfc"}]')
    with pytest.raises(ValueError, match=r"a\.json: its text is not UTF-8"):
        list(read_records([tmp_path / "a.json"]))


def test_objects_of_records_and_of_columns(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"07": {"n": 1}, "08": {"n": 2, "id": 3}}))
    assert list(read_records([path])) == [{"id": "07", "n": 1}, {"id": 3, "n": 2}]
    path.write_text(json.dumps({"n": {"0": 1, "1": 2}, "t": {"0": "a", "1": None}}))
    assert list(read_records([path])) == [{"n": 1, "t": "a"}, {"n": 2, "t": None}]


def test_an_object_with_one_list_of_records_and_a_workbook(tmp_path):
    records = [{"n": 1, "text": "a"}, {"n": 2, "text": None}]
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"config": {"x": [1]}, "logs": records, "none": []}))
    assert list(read_records([path], 1)) == records[1:]
    path.write_text(json.dumps({"a": records, "b": records}))
    with pytest.raises(ValueError, match=r"one list of records \(2 in it\)"):
        list(read_records([path]))
    workbook = Workbook()
    twice = Workbook()
    twice.active.append(["n", "n"])
    twice.save(tmp_path / "b.xlsx")
    with pytest.raises(ValueError, match=r"b\.xlsx: its header names the column 'n' twice"):
        list(read_records([tmp_path / "b.xlsx"]))
    twice.active["B1"] = "m"
    twice.create_sheet("more").append(["n", "m"])
    twice.create_sheet("notes").append(["seen"])
    twice.save(tmp_path / "b.xlsx")
    with pytest.raises(ValueError, match=r"b\.xlsx: sheet 'more' has the first one's columns"):
        list(read_records([tmp_path / "b.xlsx"]))
    for row in (["n", "text", None], [1, "a", "beyond"], [None, None], [2, None]):
        workbook.active.append(row)
    workbook.save(tmp_path / "a.xlsx")
    assert list(read_records([tmp_path / "a.xlsx"])) == records
    (tmp_path / "a.xlsx").write_bytes(b"PK no workbook")
    with pytest.raises(ValueError, match=r"cannot be read as \.xlsx"):
        list(read_records([tmp_path / "a.xlsx"]))


def test_lines_without_an_end_and_records_of_any_depth_are_no_records(tmp_path, monkeypatch):
    """Read in memory of the limit's size, the records around them as ever."""
    monkeypatch.setattr(lines, "MAX_RECORD", 1 << 20)
    good, long = b'{"n": 1}', b'{"n": "' + b"x" * (64 << 20) + b'"}'
    deep, nested = (b'{"n": ' + b"[" * depth + b"]" * depth + b"}" for depth in (100_000, 990))
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n".join([good, long, good, deep, nested, good]))
    tracemalloc.start()
    found = list(read_records([path]))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 16 << 20
    assert found[0] == found[2] == found[5] == {"n": 1}
    assert found[1] == Malformed("a line of more than 1,048,576 bytes")
    assert found[3] == found[4] == Malformed("it is nested too deeply")  # for the parser, and for us
    assert count_records([path]) == 6
    assert list(filled_lines(path)) == [1, 2, 3, 4, 5, 6]
    for name, content, said in [
        ("long.json", b"[" + good + b"," + long + b"]", r"long\.json: a record of more than 1,048,576 characters"),
        ("deep.json", b"[" + deep + b"]", r"deep\.json: is nested too deeply"),
        ("cell.csv", b'n,m\n1,2\n"' + b"x" * (4 << 20), r"cell\.csv: cannot be read as CSV .*field larger than field"),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=said):
            list(read_records([tmp_path / name]))


def test_a_record_of_many_buffers_is_read_in_linear_time(tmp_path):
    """64 MiB at once; decoded anew with each further MiB, it took half a minute."""
    (tmp_path / "a.json").write_bytes(b'[{"n": "' + b"x" * (64 << 20) + b'"}]')
    started = time.process_time()
    (record,) = read_records([tmp_path / "a.json"])
    assert len(record["n"]) == 64 << 20
    assert time.process_time() - started < 3.0
