"""Rows as EasyR1 reads them, in files as its data sets have them."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from data_prep.normalise.normalise import prepare_easyr1
from data_prep.shards import read_rejects, read_rows
from data_prep.sources.easyr1 import Keys
from easyr1_fgrpo.cli.data import app
from easyr1_fgrpo.rows import check_rows
from easyr1_fgrpo.task_prompt import INSTRUCTION


def png(width=60, height=40, colour="red"):
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "PNG")
    return buffer.getvalue()


PICTURE = png()
AS_DATASETS_WRITES = {"bytes": PICTURE, "path": "0.png"}
LINES = "<image>How many cups are there?\nA. three\nB. four\nC. five"


def jsonl(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def parquet(path, *rows):
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def converted(file, out, images=None, keys=None, split="train"):
    summary = prepare_easyr1(str(file), out, images, keys or Keys(), split)
    rows = list(read_rows(out))
    rejects = list(read_rejects(out))
    assert summary["in"] == len(rows) + len(rejects)
    assert (summary["out"], sum(summary["rejected"].values())) == (len(rows), len(rejects))
    return rows, [reject["reason"] for reject in rejects]


def test_a_row_of_parquet_becomes_a_row_of_ours(tmp_path):
    file = parquet(tmp_path / "train.parquet", {"images": [AS_DATASETS_WRITES], "problem": LINES, "answer": "B"})
    ((row,), rejects) = converted(file, tmp_path / "out")
    assert rejects == []
    assert row["data_source"] == "easyr1"
    assert row["prompt"] == [
        {"role": "system", "content": INSTRUCTION},
        {"role": "user", "content": "<image>How many cups are there?\nA. three\nB. four\nC. five"},
    ]
    assert row["images"] == [{"bytes": PICTURE}]
    assert row["reward_model"] == {"style": "rule", "ground_truth": "four"}
    info = row["extra_info"]
    assert (info["question"], info["choices"]) == ("How many cups are there?", ["three", "four", "five"])
    assert (info["width"], info["height"], info["boxes"], info["index"], info["split"]) == (60, 40, [], 0, "train")
    assert check_rows([tmp_path / "out" / "rows-00000.parquet"]) == []


@pytest.mark.parametrize("answer", ["B", "(B)", "B.", "B. four", "four", "Four"])
@pytest.mark.parametrize(
    "options",
    ["A. three\nB. four\nC. five", "(A) three\n(B) four\n(C) five", "A) three\nB) four", "(A) three (B) four (C) five"],
)
def test_options_inside_the_question_are_taken_out_and_the_answer_is_their_text(tmp_path, options, answer):
    problem = f"<image>\nHow many cups are there?\n{options}\nAnswer with the option's letter."
    file = parquet(tmp_path / "rows.parquet", {"images": [PICTURE], "problem": problem, "answer": answer})
    ((row,), _) = converted(file, tmp_path / "out")
    assert row["extra_info"]["question"] == "How many cups are there?"
    assert row["extra_info"]["choices"][:2] == ["three", "four"]
    assert row["reward_model"]["ground_truth"] == "four"


def test_a_free_answer_stays_free(tmp_path):
    file = parquet(tmp_path / "rows.parquet", {"images": [PICTURE], "problem": "<image>Find $x$.", "answer": "3.5"})
    ((row,), _) = converted(file, tmp_path / "out")
    assert (row["extra_info"]["choices"], row["reward_model"]["ground_truth"]) == ([], "3.5")


def test_images_named_by_path_are_read_below_the_folder_only(tmp_path):
    folder = tmp_path / "pictures"
    (folder / "a").mkdir(parents=True)
    (folder / "0.png").write_bytes(png(colour="green"))
    (folder / "a" / "1.png").write_bytes(png(80, 50))
    (tmp_path / "secret.png").write_bytes(PICTURE)
    file = jsonl(
        tmp_path / "rows.jsonl",
        {"images": ["0.png"], "problem": "<image>What colour?", "answer": "green"},
        {"images": ["a/1.png", "0.png"], "problem": "<image> <image>\nSame?", "answer": "no"},
        {"images": ["../secret.png"], "problem": "<image>What colour?", "answer": "red"},
        {"images": [str(tmp_path / "secret.png")], "problem": "<image>What colour?", "answer": "red"},
        {"images": ["2.png"], "problem": "<image>What colour?", "answer": "red"},
    )
    rows, rejects = converted(file, tmp_path / "out", images=folder)
    assert [len(row["images"]) for row in rows] == [1, 2]
    assert rows[0]["images"] == [{"bytes": png(colour="green")}]
    assert (rows[1]["extra_info"]["width"], rows[1]["extra_info"]["height"]) == (80, 50)
    assert rows[1]["prompt"][1]["content"] == "<image><image>Same?"
    assert rejects == ["image path leaves the folder"] * 2 + ["missing image"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"images": [], "problem": "What is 1 + 1?", "answer": "2"}, "no image"),
        ({"images": ["0.png"], "problem": "What colour?", "answer": "red"}, "marks and images differ in number"),
        ({"images": ["0.png"], "problem": "<image><image>What?", "answer": "red"}, "marks and images differ in number"),
        ({"images": ["0.png"], "problem": "Is <image> red?", "answer": "yes"}, "an image inside the text"),
        ({"images": ["0.png"], "problem": "<image>", "answer": "yes"}, "no question"),
        ({"images": ["0.png"], "problem": "<image>What?", "answer": " "}, "no answer"),
        ({"images": ["0.png"], "problem": "<image>What?", "answer": "B"}, "a letter without options"),
        ({"images": ["0.png"], "problem": LINES, "answer": "seven"}, "the answer is none of the choices"),
        ({"images": ["bad.png"], "problem": "<image>What?", "answer": "red"}, "unreadable image"),
        ({"images": [7], "problem": "<image>What?", "answer": "red"}, "missing image"),
        ({"images": ["0.png"], "prompt": "<image>What?", "answer": "red"}, "no problem"),
        ({"images": "0.png", "problem": "<image>What?", "answer": "red"}, "malformed record"),
    ],
)
def test_what_cannot_be_used_is_rejected_with_its_reason(tmp_path, row, reason):
    (tmp_path / "0.png").write_bytes(PICTURE)
    (tmp_path / "bad.png").write_bytes(PICTURE[:50])
    good = {"images": ["0.png"], "problem": "<image>What colour?", "answer": "red"}
    rows, rejects = converted(jsonl(tmp_path / "rows.jsonl", row, good), tmp_path / "out")
    assert ([row["extra_info"]["index"] for row in rows], rejects) == ([1], [reason])


def test_columns_and_parts_are_named_as_in_easyr1(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    row = {"pictures": [AS_DATASETS_WRITES], "prompt": "<image>What colour?", "label": "red"}
    parquet(folder / "train-00000-of-00002.parquet", row)
    parquet(folder / "train-00001-of-00002.parquet", row)
    parquet(folder / "test-00000-of-00001.parquet", row)
    keys = Keys("prompt", "label", "pictures")
    assert len(converted(f"{folder}@train", tmp_path / "train", keys=keys)[0]) == 2
    ((row,), _) = converted(f"{folder}@test", tmp_path / "val", keys=keys, split="val")
    assert row["extra_info"]["split"] == "val"


def test_another_split_into_the_same_folder_is_refused(tmp_path):
    file = parquet(tmp_path / "rows.parquet", {"images": [PICTURE], "problem": "<image>What?", "answer": "red"})
    converted(file, tmp_path / "out")
    with pytest.raises(ValueError, match=r"begun with other settings \(split=None, now 'val'\)"):
        converted(file, tmp_path / "out", split="val")
    assert [row["extra_info"]["split"] for row in read_rows(tmp_path / "out")] == ["train"]


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"absent\.parquet"):
        converted(tmp_path / "absent.parquet", tmp_path / "out")


def test_the_command_prints_where_the_rows_went(tmp_path):
    (tmp_path / "0.png").write_bytes(PICTURE)
    good = {"images": ["0.png"], "problem": "<image>What colour?", "answer": "red"}
    file = jsonl(tmp_path / "rows.jsonl", good, good | {"images": ["1.png"]})
    done = CliRunner().invoke(app, ["easyr1", str(file), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0
    assert done.stdout == f"{file}: in 2 = out 1 + rejected 1\n         1   50.0%  missing image\n"
    nothing = jsonl(tmp_path / "none.jsonl", good | {"images": ["1.png"]})
    done = CliRunner().invoke(app, ["easyr1", str(nothing), "--out", str(tmp_path / "none")])
    assert done.exit_code == 1
    warning, error = done.stderr.splitlines()
    assert warning.startswith("warning: 1 of 1 rows were rejected, most of them as 'missing image': ")
    assert warning.endswith("'1.png'\" (1); is this what the file is?")
    assert "no row is left" in error
    done = CliRunner().invoke(app, ["easyr1", "absent.jsonl", "--out", str(tmp_path / "absent")])
    assert done.exit_code == 1
    assert done.stderr.startswith("error: absent.jsonl")
    assert done.stderr.count("\n") == 1
