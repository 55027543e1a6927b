# VGR in its published format; every known defect of the release has a test here.

import pytest
from case_tables import read_cases
from prepared import info, prepare, reasons
from source_files import (
    picture,
    vgr_record,
    write_llava_images,
    write_vgr,
)

from data_prep.sources import Reject
from data_prep.sources.vgr import SOURCE


def test_reported_final_answers(subtests):
    for case in read_cases("final_answers"):
        record = vgr_record("gqa/images/1.jpg", "What?", "", trace=f"<think>It is there.</think>\n{case['input']}")
        with subtests.test(case["input"]):
            if case["expected"]:
                assert SOURCE.read(record).answer == case["expected"]
            else:
                with pytest.raises(Reject, match="no answer"):
                    SOURCE.read(record)


def vgr_row(tmp_path, record, image="gqa/images/1.jpg", size=(100, 50)):
    llava = write_llava_images(tmp_path / "llava", {image: picture(1, *size)}, archives=1)
    return prepare("vgr", write_vgr(tmp_path / "vgr", [record]), tmp_path / "out", llava)


@pytest.mark.parametrize(
    ("trace", "boxes"),
    [
        ("<SOT>[0.1, 0.2, 0.5, 0.6]<EOT><image>", [[10, 10, 50, 30]]),
        ("<sot> [0.1, 0.2, 0.5, 0.6] <eot> <image>", [[10, 10, 50, 30]]),
        ("<image> stray <SOT>[0.1, 0.2, 0.5, 0.6]<EOT> <image> <image>", [[10, 10, 50, 30]]),
        ("<SOT> orphan <SOT>[0.1, 0.2, 0.5, 0.6]<EOT><image> and <EOT>", [[10, 10, 50, 30]]),
        ("only an orphan <SOT>[0.1, 0.2, 0.5, 0.6] here", []),
        ("<SOT>[[0.1, 0.2, 0.5, 0.6], [0, 0, 1, 1]]<EOT><image>", [[10, 10, 50, 30], [0, 0, 100, 50]]),
        ("<SOT>[0.1,0.2,0.5,0.6]<EOT><image> again <SOT>[0.1, 0.2, 0.5, 0.6]<EOT><image>", [[10, 10, 50, 30]]),
        ("<SOT>[0.9, 0.8, 0.5, 0.6]<EOT><image>", [[50, 30, 90, 40]]),  # no x, y, width, height: 0.9 + 0.5 > 1
        ("<SOT>[-0.01, 0.2, 1.015, 0.6]<EOT><image>", [[0, 10, 100, 30]]),
    ],
)
def test_vgr_boxes(tmp_path, trace, boxes):
    told = f"<think> {trace} </think>\nFinal answer: <image> Right."
    (row,), _ = vgr_row(tmp_path, vgr_record("gqa/images/1.jpg", "On which side?", "", trace=told))
    assert info(row, "boxes") == [pytest.approx(box) for box in boxes]
    assert row["prompt"][1]["content"] == "<image>On which side?"
    assert row["reward_model"]["ground_truth"] == "Right"
    assert len(row["images"]) == 1


@pytest.mark.parametrize(
    ("trace", "reason"),
    [
        ("<SOT>[0.1, 0.2, 0.5]<EOT> Final answer: cat", "malformed box"),
        ("<SOT>[0.1, 0.2, 0.5, NaN]<EOT> Final answer: cat", "malformed box"),
        ("<SOT>the left one<EOT> Final answer: a cat", "malformed box"),
        ("<SOT>[0.5, 0.4, 0.1, 0.2]<EOT> Final answer: cat", "box cannot be used"),  # corners, or x, y, width, height
        ("<SOT>[0.1, 0.2, 0.1, 0.6]<EOT> Final answer: cat", "box cannot be used"),
        ("<SOT>[0.1, 0.2, 1.3, 0.6]<EOT> Final answer: cat", "box cannot be used"),
        ("<think> nothing said </think>", "no answer"),
        ("Final answer: .", "no answer"),
        ("Final answer: B", "a letter without options"),
        ("Final answer: a long sentence that nobody will ever repeat", "answer too long"),
    ],
)
def test_vgr_rows_that_cannot_be_used(tmp_path, trace, reason):
    _, (reject,) = vgr_row(tmp_path, vgr_record("gqa/images/1.jpg", "What?", "", trace=trace))
    assert reject["reason"] == reason


@pytest.mark.parametrize(
    "kind", ["ai2d/abc_images/311.png", "chartqa/1.png", "dvqa/1.png", "docvqa/1.png", "new/1.png"]
)
def test_vgr_charts_and_documents_are_dropped(tmp_path, kind):
    _, (reject,) = vgr_row(tmp_path, vgr_record(kind, "What?", "cat"))
    assert (reject["reason"], reject["detail"]) == ("chart, document or other sub-source", kind.split("/")[0])


def test_vgr_options_in_the_question_become_choices(tmp_path):
    record = vgr_record("coco/train2017/1.jpg", "What is it?\nA. a cat\nB. a dog", "B")
    record["conversations"][0]["value"] = (
        "<image>\nWhat is it?\nA. a cat\nB. a dog\nAnswer with the option's letter from the given choices directly."
    )
    (row,), _ = vgr_row(tmp_path, record, "coco/train2017/1.jpg")
    assert (info(row, "question"), info(row, "choices")) == ("What is it?", ["a cat", "a dog"])
    assert (row["reward_model"]["ground_truth"], info(row, "dataset")) == ("a dog", "coco")


def test_vgr_pictures_may_be_unpacked_already_and_may_be_missing(tmp_path):
    folder = tmp_path / "llava" / "coco" / "train2017"
    folder.mkdir(parents=True)
    (folder / "1.jpg").write_bytes(picture(1))
    records = [vgr_record(f"coco/train2017/{name}", "What?", "cat") for name in ("1.jpg", "2.jpg", "../../../x.jpg")]
    rows, rejects = prepare("vgr", write_vgr(tmp_path / "vgr", records), tmp_path / "out", tmp_path / "llava")
    assert len(rows) == 1
    assert reasons(rejects) == ["missing image", "image path leaves the folder"]
    assert not (tmp_path / "out" / "unpacked").exists()


def test_vgr_every_question_of_a_conversation_is_a_row_or_a_reject(tmp_path):
    image = "gqa/images/1.jpg"
    first, second, third = (
        vgr_record(image, question, answer, boxes)["conversations"]
        for question, answer, boxes in [
            ("What is it?", "cat", [[0.1, 0.2, 0.5, 0.6]]),
            ("On which side is the dog?", "left", [[0, 0, 1, 1]]),
            ("What color is it?", "red", []),
        ]
    )
    records = [
        {"image": image, "conversations": first + second + third + first[:1]},
        {"image": image, "conversations": second},
        {"image": "docvqa/1.jpg", "conversations": first + second},
    ]
    llava = write_llava_images(tmp_path / "llava", {image: picture(1)}, archives=1)
    rows, rejects = prepare("vgr", write_vgr(tmp_path / "vgr", records), tmp_path / "out", llava)
    assert [(info(row, "index"), info(row, "question"), row["reward_model"]["ground_truth"]) for row in rows] == [
        (0, "What is it?", "cat"),
        (1, "On which side is the dog?", "left"),
        (4, "On which side is the dog?", "left"),
    ]
    assert [len(info(row, "boxes")) for row in rows] == [1, 1, 1]
    assert info(rows[1], "boxes") == [[0, 0, 96, 64]]
    assert reasons(rejects) == [
        "a question that goes on an earlier one",
        "a question without an answer",
        *["chart, document or other sub-source"] * 2,
    ]


def test_vgr_a_killed_run_goes_on_within_a_conversation(tmp_path, monkeypatch):
    """The numbers of shards count questions, not records."""
    monkeypatch.setattr("data_prep.shards.SHARD_ROWS", 4)
    image = "gqa/images/1.jpg"
    turns = [turn for n in range(3) for turn in vgr_record(image, f"Number {n}?", "cat")["conversations"]]
    llava = write_llava_images(tmp_path / "llava", {image: picture(1)}, archives=1)
    source = write_vgr(tmp_path / "vgr", [{"image": image, "conversations": turns}] * 5)
    whole, _ = prepare("vgr", source, tmp_path / "whole", llava)
    prepare("vgr", source, tmp_path / "out", llava)
    for name in ("rows-00003.parquet", "rows-00002.parquet", "summary.json"):
        (tmp_path / "out" / name).unlink()
    again, _ = prepare("vgr", source, tmp_path / "out", llava)
    assert again == whole
    assert [info(row, "question") for row in again] == [f"Number {n}?" for n in range(3)] * 5
