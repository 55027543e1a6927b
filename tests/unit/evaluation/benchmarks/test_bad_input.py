# Damaged or changed files end in a reject that names its row, or in one clear error; rejects and items are the rows.
import json

import pytest
from datasets import Features, Value

from easyr1_fgrpo.evaluation.benchmarks import BENCHMARKS, Item, Reject

from . import published_files


def split(name, location):
    found = list(BENCHMARKS[name].load(location))
    items = [entry for entry in found if isinstance(entry, Item)]
    rejects = [entry for entry in found if isinstance(entry, Reject)]
    assert len(items) + len(rejects) == len(found)
    assert all(reject.benchmark == name and "\n" not in reject.reason for reject in rejects)
    return items, rejects


# ---------------------------------------------------------------------- rows


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"answer": "(D)"}, "answer '(D)' names none of the 3 choices"),
        ({"answer": "4"}, "answer '4' names none of the 3 choices"),
        ({"answer": None}, "answer: Input should be a valid string"),
        ({"image": None}, "no image in column image"),
        ({"image": {"bytes": b"<html>", "path": None}}, "cv_bench_2d 1: image 0 is unreadable"),
        ({"type": "3D"}, "type '3D', expected '2D'"),
        ({"idx": 0}, "the id 0 again"),
        ({"choices": ["3", " ", "4"]}, "is blank"),
        ({"question": ""}, "is blank"),
    ],
)
def test_a_bad_row_of_cv_bench_is_a_reject(tmp_path, change, reason):
    rows = published_files.cv_bench_rows("2D")
    rows[1] |= change
    items, rejects = split("cv_bench_2d", published_files.cv_bench(tmp_path, rows=rows))
    assert [item.id for item in items] == ["0", "2", "3"]
    assert [reject.row for reject in rejects] == ["row 1"]
    assert reason in rejects[0].reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"gt_answer": "E"}, "answer 'E' names none of the 2 choices"),
        ({"question": "No options here?"}, "no options inside the question"),
        ({"images": ["other_all_image/around/g2/nowhere.png"]}, "no image other_all_image/around/g2/nowhere.png"),
        ({"images": ["../../etc/passwd"]}, "leaves the folder"),
        ({"images": ["/etc/passwd"]}, "leaves the folder"),
        ({"images": []}, "no images"),
        ({"id": "among_group1_q1_1_1"}, "the id among_group1_q1_1_1 again"),
    ],
)
def test_a_bad_row_of_mindcube_is_a_reject(tmp_path, change, reason):
    rows = published_files.mindcube_rows()
    changed = [rows[0], rows[1] | change, rows[2]]
    archive = published_files.mindcube(tmp_path, rows, lines=[json.dumps(row) for row in changed])
    items, rejects = split("mindcube", archive)
    assert len(items) == 2
    assert [reject.row for reject in rejects] == ["line 2"]
    assert reason in rejects[0].reason


def test_a_torn_line_is_a_reject_and_blank_lines_are_nothing(tmp_path):
    rows = published_files.mindcube_rows()
    lines = [json.dumps(rows[0]), "", json.dumps(rows[1])[:40], json.dumps(rows[2])]
    items, rejects = split("mindcube", published_files.mindcube(tmp_path, rows, lines))
    assert len(items) == 2
    assert [reject.row for reject in rejects] == ["line 3"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"answer": 2}, "answer 2 is none of the 2 options, counted from 0"),
        ({"answer": -1}, "answer -1 is none"),
        ({"answer": "B"}, "answer: Input should be a valid integer"),
        ({"id": "7_0"}, "no image Dynamic_Reasoning/7.png"),
        ({"task_type": "../.."}, "leaves the folder"),
        ({"options": "left, right"}, "options: Input should be a valid tuple"),
    ],
)
def test_a_bad_row_of_omnispatial_is_a_reject(tmp_path, change, reason):
    rows = published_files.omnispatial_rows()
    rows[1] |= change
    items, rejects = split("omnispatial", published_files.omnispatial(tmp_path, rows))
    assert len(items) == 2
    assert [reject.row for reject in rejects] == ["row 1"]
    assert reason in rejects[0].reason


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (("Is it open?", "(a) Open (b) Closed", "(c)"), "answer '(c)' names none of the 2 choices"),
        (("Is it open?", "Open or closed", "(a)"), "are not (a) ... (b) ..."),
        (("Is it open?",), "Options: Input should be a valid string"),
    ],
)
def test_a_bad_row_of_mmvp_is_a_reject(tmp_path, texts, reason):
    rows = [*published_files.MMVP_TEXTS[:2], texts, published_files.MMVP_TEXTS[3]]
    items, rejects = split("mmvp", published_files.mmvp_folder(tmp_path / "MMVP", rows))
    assert [item.id for item in items] == ["1", "2", "4"]
    assert [reject.row for reject in rejects] == ["line 4"]
    assert reason in rejects[0].reason


def test_a_missing_picture_of_mmvp_is_a_reject(tmp_path):
    folder = published_files.mmvp_folder(tmp_path / "MMVP")
    (folder / "MMVP Images" / "3.jpg").unlink()
    items, rejects = split("mmvp", folder)
    assert len(items) == 3
    assert rejects == [Reject("mmvp", "line 4", "no image MMVP Images/3.jpg")]


def test_a_letter_without_options_is_a_reject(tmp_path):
    texts = [(f"Which way? {published_files.LETTER}", "A"), published_files.REALWORLDQA_TEXTS[1]]
    items, rejects = split("realworldqa", published_files.realworldqa(tmp_path, texts))
    assert len(items) == 1
    assert rejects == [Reject("realworldqa", "row 0", "the question asks for a letter and lists no options")]


def test_every_rotation_of_a_bad_sat_row_is_a_reject(tmp_path):
    rows = published_files.sat_rows()
    rows[1]["correct_answer"] = "above"
    items, rejects = split("sat_real", published_files.sat_real(tmp_path, rows))
    assert len(items) == 2
    assert [reject.row for reject in rejects] == [f"row 1, rotation {i}" for i in range(3)]
    assert "correct_answer 'above' is none of the answers" in rejects[0].reason


# ---------------------------------------------------------------------- images that break later


def test_a_truncated_picture_is_an_error_that_names_the_item(tmp_path):
    rows = published_files.cv_bench_rows("2D")
    rows[2]["image"]["bytes"] = published_files.picture(9, size=(300, 300))[:200]
    items, _ = split("cv_bench_2d", published_files.cv_bench(tmp_path, rows=rows))
    with pytest.raises(ValueError, match="cv_bench_2d 2: image 0 is unreadable"):
        items[2].load_images()
    assert items[3].load_images()


def test_a_damaged_archive_member_is_an_error_that_names_the_item(tmp_path):
    big = published_files.picture(5, "BMP", size=(64, 64))
    pictures = {"Dynamic_Reasoning/0.png": big, "Perspective_Taking/0.png": published_files.picture(1)}
    archive = published_files.omnispatial(tmp_path, pictures=pictures)
    data = archive.read_bytes()
    at = data.index(big) + len(big) - 10
    archive.write_bytes(data[:at] + b"\xff\x00\xff" + data[at + 3 :])
    items, rejects = split("omnispatial", archive)
    assert (len(items), rejects) == (3, [])
    with pytest.raises(ValueError, match=r"omnispatial Dynamic_Reasoning/0_0: image 0 is unreadable \(BadZipFile"):
        items[0].load_images()
    assert items[2].load_images()


# ---------------------------------------------------------------------- files


def first(name, location):
    next(iter(BENCHMARKS[name].load(location)))


def test_a_changed_column_name_is_one_error(tmp_path):
    renamed = Features(
        {("label" if name == "answer" else name): value for name, value in published_files.CV_BENCH.items()}
    )
    rows = [
        {("label" if name == "answer" else name): value for name, value in row.items()}
        for row in published_files.cv_bench_rows("2D")
    ]
    path = published_files.cv_bench(tmp_path, rows=rows, features=renamed)
    with pytest.raises(ValueError, match=r"test_2d.parquet: no column answer; expected idx, .*; found .*label"):
        first("cv_bench_2d", path)


def test_a_changed_key_is_one_error(tmp_path):
    rows = [{("gt" if key == "gt_answer" else key): row[key] for key in row} for row in published_files.mindcube_rows()]
    with pytest.raises(ValueError, match=r"tinybench.jsonl: no column gt_answer; expected .*; found id, .*, gt$"):
        first("mindcube", published_files.mindcube(tmp_path, rows))
    rows = [{"question": "Where?"}]
    with pytest.raises(
        ValueError, match=r"data.json: no column id, options, answer, task_type, sub_task_type; expected"
    ):
        first("omnispatial", published_files.omnispatial(tmp_path, rows))


def test_a_changed_header_is_one_error(tmp_path):
    folder = published_files.mmvp_folder(tmp_path / "MMVP", header="Number")
    with pytest.raises(ValueError, match=r"Questions.csv: no column Index; expected Index, .*; found Number, Question"):
        first("mmvp", folder)


def test_a_sat_file_without_pictures_is_one_error(tmp_path):
    features = Features({"question": Value("string")})
    path = published_files.write_parquet(tmp_path / "SAT_test.parquet", [{"question": "?"}], features)
    with pytest.raises(ValueError, match="no column image_bytes, answers, question_type, correct_answer"):
        first("sat_real", path)


@pytest.mark.parametrize(("name", "write"), [("mindcube", "mindcube"), ("omnispatial", "omnispatial")])
def test_a_truncated_archive_is_one_error(tmp_path, name, write):
    archive = getattr(published_files, write)(tmp_path)
    archive.write_bytes(archive.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r"\.zip: no whole zip archive \(.*\); download it again"):
        first(name, archive)


def test_a_damaged_index_is_one_error(tmp_path):
    with pytest.raises(ValueError, match=r"data.json: no JSON"):
        first("omnispatial", published_files.omnispatial(tmp_path, text='[{"id": '))
    with pytest.raises(ValueError, match=r"data.json: no list of rows"):
        first("omnispatial", published_files.omnispatial(tmp_path, text="{}"))
    with pytest.raises(ValueError, match=r"tinybench.jsonl: no rows"):
        first("mindcube", published_files.mindcube(tmp_path, []))


@pytest.mark.parametrize("name", ["cv_bench_2d", "realworldqa", "sat_real", "mmvp", "miniature"])
def test_a_damaged_parquet_file_is_one_error(tmp_path, name):
    (tmp_path / "x.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(ValueError, match=r"x.parquet: cannot be read as parquet"):
        first(name, tmp_path / "x.parquet")


def test_a_parquet_file_that_is_damaged_in_the_middle_is_one_error(tmp_path):
    path = published_files.cv_bench(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[:4] + b"\xff" * 400 + data[404:])
    with pytest.raises(ValueError, match=r"test_2d.parquet: cannot be read as parquet \("):
        first("cv_bench_2d", path)


def test_a_monstrous_csv_field_is_one_error(tmp_path):
    texts = [("Is it open?" * 20_000, "(a) Open (b) Closed", "(a)")]
    folder = published_files.mmvp_folder(tmp_path / "MMVP", texts)
    with pytest.raises(ValueError, match=r"Questions.csv after line 1: no CSV \(field larger"):
        first("mmvp", folder)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_folder_with_something_else_is_one_error(tmp_path, name):
    (tmp_path / "README.md").write_text("nothing here")
    with pytest.raises(ValueError, match=str(tmp_path)):
        first(name, tmp_path)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_no_such_file_is_one_error(tmp_path, name):
    with pytest.raises(ValueError, match=r"nowhere: no"):
        first(name, tmp_path / "nowhere")


@pytest.mark.parametrize("name", [name for name, benchmark in BENCHMARKS.items() if benchmark.hub_id])
def test_an_unreachable_hub_is_one_error(tmp_path, name, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match=rf"^{BENCHMARKS[name].hub_id}: cannot be read from the hub"):
        first(name, None)


def test_the_miniature_is_on_no_hub():
    with pytest.raises(ValueError, match="name a parquet file of rows"):
        first("miniature", None)
