"""`fgrpo data import` on files as people have them: in = out + rejects, no guess unseen."""

import csv
import io
import json
from itertools import product

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from easy_vqa import make
from source_files import picture

from .imported import PICTURES, every, imported, jsonl, records, run


def test_easy_vqa_as_it_is_installed(tmp_path):
    make(tmp_path, pictures=20)
    rows, rejects, shown = imported(tmp_path, tmp_path / "questions.json")
    assert ({split: len(part) for split, part in rows.items()}, rejects) == ({"train": 72, "val": 8}, [])
    assert "question  column 0 (its values ask)" in shown
    assert "answer    column 1 (the one that is left)" in shown
    first = every(rows)[0]
    assert first.extra_info.question.startswith("what color is the ")
    assert first.extra_info.choices == ()
    assert (first.data_source, first.extra_info.width) == ("out", 64)


def test_the_same_rows_from_every_kind_of_file(home):
    options = ["red", "blue", "green"]
    plain = [
        {"problem": f"Number {n}?", "options": options, "label": "blue", "img": f"{n}.png"} for n in range(PICTURES)
    ]
    with (home / "mine.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, list(plain[0]))
        table.writeheader()
        table.writerows(plain)  # options as Python writes a list
    (home / "mine.json").write_text(json.dumps(plain))
    jsonl(home, plain)
    held = [row | {"img": {"bytes": picture(n, 100, 50, "PNG"), "path": None}} for n, row in enumerate(plain)]
    pq.write_table(pa.Table.from_pylist(held), home / "mine.parquet")
    made = {}
    for suffix in ("csv", "json", "jsonl", "parquet"):
        (rows, rejects, _) = imported(home, home / f"mine.{suffix}")
        assert rejects == []
        made[suffix] = every(rows)
    assert made["csv"] == made["json"] == made["jsonl"] == made["parquet"]
    assert made["csv"][0].extra_info.choices == tuple(options)
    assert made["csv"][0].prompt[1].content == "<image>Number 0?\nA. red\nB. blue\nC. green"


def test_options_and_answers_in_their_ways(home):
    """Options in a column, in columns of their own or inside the question; answers as text, letter or number."""
    options = ["red", "blue", "green"]
    ways = {
        "column": {"choices": options},
        "object": {"options": dict(zip("ABC", options, strict=True))},
        "bars": {"choices": "red|blue|green"},
        "lettered": {"choices": ["A. red", "B. blue", "C. green"]},
        "lettered in a cell": {"choices": "(A) red (B) blue (C) green"},
        "lines": {"choices": "red\nblue\ngreen"},
        "columns": dict(zip("ABC", options, strict=True)),
        "question": {"question": "Which?\nA. red\nB. blue\nC. green"},
    }
    answers = {"text": "green", "letter": "C", "(letter)": "(C)", "from 0": 2, "from 1": 3}
    for (way, columns), (name, answer) in product(ways.items(), answers.items()):
        # so that numbers tell from where they count
        other = {"from 0": 0, "from 1": 1}.get(name, answer)
        file = jsonl(home, [*records(answer=answer, **columns)[1:], *records(answer=other, **columns)[:1]])
        rows, rejects, shown = imported(home, file)
        assert rejects == [], (way, name)
        assert [row.reward_model.ground_truth for row in every(rows)][:5] == ["green"] * 5, (way, name, shown)
        assert {row.extra_info.choices for row in every(rows)} == {tuple(options)}, (way, name)


def test_numbers_that_count_from_0_or_1_are_asked_about(home):
    file = jsonl(home, records(answer=1, choices=["red", "blue", "green"]))
    done, out = run(home, file)
    assert done.exit_code == 1
    assert "may be read as its number from 0 or its number from 1" in done.stderr
    assert "--answers index0" in done.stderr
    assert not out.exists()
    rows, _, _ = imported(home, file, "--answers", "index1")
    assert every(rows)[0].reward_model.ground_truth == "red"


def test_numbers_that_are_options_and_their_places_are_asked_about(home):
    """A-OKVQA's `correct_choice_idx`, where the options are numbers themselves."""
    file = jsonl(home, records(answer=0, choices=["3", "1", "0", "2"]))
    done, _ = run(home, file)
    assert done.exit_code == 1
    assert "may be read as the option's text or its number from 0, and name other options then" in done.stderr
    assert every(imported(home, file, "--answers", "index0")[0])[0].reward_model.ground_truth == "3"
    counts = ["0", "1", "2"]
    same = jsonl(home, [*records(answer=1, choices=counts)[1:], *records(answer=0, choices=counts)[:1]])
    assert every(imported(home, same)[0])[0].reward_model.ground_truth == "1", "both ways name one option"


def test_a_table_without_a_line_of_names_is_refused(home):
    lines = [f"{row['image']},{row['question']},{row['answer']}" for row in records()]
    (home / "bare.csv").write_text("\n".join(lines))
    done, _ = run(home, home / "bare.csv")
    assert done.exit_code == 1
    assert "the first line is a record, its '0.png' a picture: write a line of column names above it" in done.output
    (home / "bare.csv").write_text("\n".join(["picture of it,what,then", *lines]))
    rows, _, _ = imported(home, home / "bare.csv")
    assert sum(map(len, rows.values())) == len(lines)


def test_boxes_are_never_guessed(home):
    """The pictures have 100 x 50 pixels; each way to write the same box."""
    written = {
        "pixels": [10, 5, 50, 20], "pixels-xywh": [10, 5, 40, 15],
        "thousandths": [100, 100, 500, 400], "thousandths-xywh": [100, 100, 400, 300],
        "unit": [0.1, 0.1, 0.5, 0.4], "unit-xywh": [0.1, 0.1, 0.4, 0.3],
    }  # fmt: skip
    done, _ = run(home, jsonl(home, records(bbox=written["unit"])))
    assert done.exit_code == 1
    assert (
        "column bbox holds boxes like [0.1, 0.1, 0.5, 0.4]: say how they are written, --box-form pixels" in done.stderr
    )
    for form, box in written.items():
        for value in (box, [box], {"bbox": box, "label": "cup"}, [{"bbox": box}], json.dumps(box)):
            rows, _, _ = imported(home, jsonl(home, records(bbox=value)), "--box-form", form)
            assert every(rows)[0].extra_info.boxes == (pytest.approx((10, 5, 50, 20)),), (form, value)
    rows, _, _ = imported(home, jsonl(home, records(bbox=written["unit"])), "--boxes", "none")
    assert every(rows)[0].extra_info.boxes == ()


def test_what_cannot_be_used_is_in_the_rejects_with_its_reason(home):
    (home / "images" / "torn.png").write_bytes(picture(0, 100, 50, "PNG")[:60])
    bad = {
        "missing image": {"image": "absent.png"},
        "unreadable image": {"image": "torn.png"},
        "image path leaves the folder": {"image": "../mine.jsonl"},
        "no answer": {"answer": None},
        "no question": {"question": ""},
        "a letter without options": {"answer": "B"},
        "the answer is none of the choices": {"choices": ["blue", "green"]},
        "options in the question are not the column's": {
            "question": "Which?\nA. red\nB. blue",
            "choices": ["red", "tan"],
        },
        "options in disorder": {"choices": ["red", " ", "blue"]},
        "several texts where one should be": {"answer": ["red", "blue"]},
        "several texts where one should be ": {"answer": "['red', 'Red']"},
        "special token in the text": {"question": "Is <video> red?"},
    }
    rows, rejects, shown = imported(
        home, jsonl(home, [*records(), *(records()[0] | change for change in bad.values())])
    )
    assert len(every(rows)) == PICTURES
    assert [reject["reason"] for reject in rejects] == [reason.strip() for reason in bad]
    assert "rejected 12" in shown
    assert f"         1  {1 / (PICTURES + 12):>6.1%}  missing image" in shown


def test_a_blank_option_never_gives_another_its_letter(home):
    file = home / "mine.csv"
    file.write_text(
        "question,image,A,B,C,D,answer\n"
        "Which?,0.png,left,,up,down,C\n"
        "Which?,1.png,left,right,up,,C\n" + "".join(f"Which?,{n}.png,left,right,,,B\n" for n in range(PICTURES))
    )
    rows, (reject,), _ = imported(home, file)
    assert (reject["reason"], reject["detail"]) == ("options in disorder", "option B is blank and D is not")
    assert [(row.reward_model.ground_truth, row.extra_info.choices) for row in every(rows)] == [
        ("up", ("left", "right", "up")),
        *[("right", ("left", "right"))] * PICTURES,
    ]
    ways = [
        *({"A": "left", "B": "", "C": "up"}, {"B": "up", "A": "left", "E": "down"}, ["left", "", "up"]),
        *("left |  | up", "left | up\ndown", ["left", float("nan"), "up"], ["B. left", "A. up"], ["A. left", "C. up"]),
    ]
    good = records(answer="B", choices={"B": "up", "A": "left"})
    rows, rejects, _ = imported(home, jsonl(home, [*good, *(good[0] | {"choices": way} for way in ways)]))
    assert {row.reward_model.ground_truth for row in every(rows)} == {"up"}
    assert [reject["reason"] for reject in rejects] == ["options in disorder"] * len(ways)


def test_nothing_is_written_when_nothing_can_be_used(home):
    done, out = run(home, jsonl(home, records(image="absent.png")))
    assert done.exit_code == 1
    assert "none of the first 6 questions can be used: 6 x missing image: 'absent.png'" in done.stderr
    assert not out.exists()
    done, _ = run(home, jsonl(home, [{"question": "Red?", "image": "0.png", "a": 1, "b": 2}]))
    assert "no column is known for the answer; there are question, image, a, b: say --answer COLUMN" in done.stderr
    done, _ = run(home, jsonl(home, records()), "--answer", "label")
    assert "--answer label: no column label; there are question, answer, image" in done.stderr
    done, _ = run(home, jsonl(home, records(image="0.png")))
    assert "6 rows with 1 pictures leave 6 to train and 0 to validate on" in done.stderr


def test_splits_of_the_file_are_kept_and_their_pictures_kept_apart(home):
    splits = ["train", "train", "validation", "test", "train", "test"]
    given = [row | {"split": split} for row, split in zip(records(), splits, strict=True)]
    given[1]["image"] = "2.png"  # validation's
    given[2] |= {"image": ["2.png", "0.png"]}
    rows, rejects, shown = imported(home, jsonl(home, given))
    assert {split: [row.extra_info.index for row in part] for split, part in rows.items()} == {
        **{"train": [4], "val": [2], "test": [3, 5]},
    }
    assert [(reject["row"], reject["reason"]) for reject in rejects] == [
        (0, "its picture is in another split"), (1, "its picture is in another split"),
    ]  # fmt: skip
    assert "splits: column split" in shown


def test_splits_by_the_names_of_files(home):
    folder = home / "data"
    folder.mkdir()
    for name, part in {"train-00000-of-00001": [0, 1], "train-00001-of-00001": [2], "test": [3, 4, 5]}.items():
        pq.write_table(pa.Table.from_pylist([records()[n] for n in part]), folder / f"{name}.parquet")
    rows, _, shown = imported(home, folder)
    assert {split: len(part) for split, part in rows.items()} == {"test": 3, "train": 2, "val": 1}
    assert "splits: the files' names; val made, as the file has none: 10% of train, seed 0" in shown
    rows, _, _ = imported(home, f"{folder}@train", "--val", "0.4")
    assert {split: len(part) for split, part in rows.items()} == {"train": 2, "val": 1}


def test_what_a_zip_of_macos_and_jupyter_leave_is_no_data(home):
    folder = home / "data"
    for name in ("a.jsonl", "__MACOSX/._a.jsonl", ".ipynb_checkpoints/a-checkpoint.jsonl", "notes.csv"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(jsonl(home, records()).read_bytes())
    rows, rejects, shown = imported(home, folder)
    assert (len(every(rows)), rejects) == (PICTURES, [])
    assert "files: a.jsonl; not read: notes.csv" in shown
    (folder / "a.jsonl").rename(home / "A.JSONL")
    assert len(every(imported(home, home / "A.JSONL")[0])) == PICTURES


def test_text_of_a_file_does_not_act_on_the_terminal(home):
    _, _, shown = imported(home, jsonl(home, records(question="Red\x1b[31m?")))
    assert "\x1b" not in shown
    assert io.StringIO(shown).readline().rstrip().endswith("Red\\x1b[31m?")
