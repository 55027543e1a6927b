# Visual-CoT in its published format; every known defect of the release has a test here.

import pytest
from prepared import info, prepare, reasons
from source_files import (
    picture,
    visual_cot_conversation,
    visual_cot_record,
    write_visual_cot,
    write_visual_cot_json,
)


def test_visual_cot_same_basename_in_two_datasets(tmp_path):
    records = [visual_cot_record(name, "7.jpg", "What?", "cat", [[1, 1, 9, 9]]) for name in ("gqa", "visual7w")]
    pictures = {"gqa/7.jpg": picture(1), "v7w/7.jpg": picture(2), "docvqa/7.jpg": picture(3)}
    rows, _ = prepare("visual_cot", write_visual_cot(tmp_path / "cot", records, pictures), tmp_path / "out")
    found = {info(row, "dataset"): row["images"][0]["bytes"] for row in rows}
    assert found == {"gqa": picture(1), "visual7w": picture(2)}
    assert not list((tmp_path / "out" / "unpacked").rglob("docvqa"))


def test_visual_cot_visual7w_has_two_names_in_files(tmp_path):
    records = [visual_cot_record(name, f"{name}/7.jpg", "What?", "cat", []) for name in ("v7w", "visual7w")]
    source = write_visual_cot(tmp_path / "cot", records, {"v7w/7.jpg": picture(2)})
    rows, rejects = prepare("visual_cot", source, tmp_path / "out")
    assert (rejects, [info(row, "dataset") for row in rows]) == ([], ["visual7w", "visual7w"])


def test_visual_cot_a_path_found_twice_is_ambiguous(tmp_path):
    for folder in ("old/gqa", "new/gqa"):
        (tmp_path / "images" / folder).mkdir(parents=True)
        (tmp_path / "images" / folder / "7.jpg").write_bytes(picture(folder))
    source = write_visual_cot(tmp_path / "cot", [visual_cot_record("gqa", "7.jpg", "What?", "cat", [])], {})
    _, (reject,) = prepare("visual_cot", source, tmp_path / "out", tmp_path / "images")
    assert reject["reason"] == "ambiguous image"


def test_visual_cot_two_boxes_stay_two_and_one_bad_box_spoils_the_row(tmp_path):
    boxes = [[[1, 2, 20, 30], [40, 5, 96, 64]], [[1, 2, 20, 30], [40, 5, 200, 64]], []]
    records = [visual_cot_record("gqa", "1.jpg", f"What {n}?", "cat", some) for n, some in enumerate(boxes)]
    source = write_visual_cot(tmp_path / "cot", records, {"gqa/1.jpg": picture(1)})
    rows, (reject,) = prepare("visual_cot", source, tmp_path / "out")
    assert [info(row, "boxes") for row in rows] == [boxes[0], []]
    assert reject["reason"] == "box cannot be used"


def test_visual_cot_a_size_that_is_not_the_pictures(tmp_path):
    record = visual_cot_record("gqa", "1.jpg", "What?", "cat", [[1, 2, 20, 30]], width=64, height=96)
    source = write_visual_cot(tmp_path / "cot", [record], {"gqa/1.jpg": picture(1)})
    _, (reject,) = prepare("visual_cot", source, tmp_path / "out")
    assert reject["reason"] == "image of another size"


def test_visual_cot_json_uses_pixels_and_not_the_padded_text(tmp_path):
    record = visual_cot_conversation("gqa", "cot/gqa/1.jpg", "What?", "cat", [0.0, 0.2, 0.5, 0.6], [3, 4, 50, 60])
    source = write_visual_cot_json(tmp_path / "cot", [record], {"gqa/1.jpg": picture(1)})
    (row,), _ = prepare("visual_cot", source, tmp_path / "out")
    assert info(row, "boxes") == [[3, 4, 50, 60]]
    assert info(row, "question") == "What?"


def test_visual_cot_drops_documents_and_counts_them(tmp_path):
    datasets = ["gqa", "docvqa", "infographicsvqa", "textvqa", "textcap", "dude", "sroie"]
    records = [visual_cot_record(name, "1.jpg", "What?", "cat", []) for name in datasets]
    source = write_visual_cot(tmp_path / "cot", records, {"gqa/1.jpg": picture(1)})
    rows, rejects = prepare("visual_cot", source, tmp_path / "out")
    assert len(rows) == 1
    assert sorted(reject["detail"] for reject in rejects) == sorted(datasets[1:])


def test_visual_cot_a_damaged_line_is_a_reject(tmp_path):
    source = write_visual_cot(
        tmp_path / "cot", [visual_cot_record("gqa", "1.jpg", "What?", "cat", [])], {"gqa/1.jpg": picture(1)}
    )
    with (source / "metadata" / "gqa_cot_train.jsonl").open("a") as file:
        file.write('{"question": "cut o\n[]\n{"dataset": "gqa"}\n')
    rows, rejects = prepare("visual_cot", source, tmp_path / "out")
    assert (len(rows), reasons(rejects)) == (1, ["malformed record"] * 3)


def test_visual_cot_a_missing_piece_of_the_archive_is_one_line(tmp_path):
    pictures = {f"gqa/{n}.jpg": picture(n) for n in range(9)}
    source = write_visual_cot(tmp_path / "cot", [visual_cot_record("gqa", "1.jpg", "What?", "cat", [])], pictures, 7)
    (source / "cot_images_tar_split" / "cot_images_03").unlink()
    with pytest.raises(ValueError, match="cot_images_00: cannot be unpacked"):
        prepare("visual_cot", source, tmp_path / "out")


def test_visual_cot_options_and_letters_are_read_as_in_the_other_sources(tmp_path):
    asked = [("Which?\nA. cat\nB. dog", "B"), ("Which?", "B"), ("Which?\nA. cat\nB. dog", "cow")]
    asked += [("Which?\nA. B\nB. C\nC. A", "B")]
    records = [visual_cot_record("gqa", "1.jpg", question, answer, []) for question, answer in asked]
    source = write_visual_cot(tmp_path / "cot", records, {"gqa/1.jpg": picture(1)})
    (row,), rejects = prepare("visual_cot", source, tmp_path / "out")
    assert (info(row, "choices"), row["reward_model"]["ground_truth"]) == (["cat", "dog"], "dog")
    assert reasons(rejects) == [
        *("a letter without options", "the answer is none of the choices"),
        "the letter of an option and the text of another",
    ]


def test_visual_cot_json_with_several_questions_loses_none(tmp_path):
    record = visual_cot_conversation("gqa", "cot/gqa/1.jpg", "What?", "cat", [0.0, 0.2, 0.5, 0.6])
    other = visual_cot_conversation("gqa", "cot/gqa/1.jpg", "Which dog?", "left", [0.1, 0.2, 0.5, 0.6])["conversations"]
    records = [record | {"conversations": record["conversations"] + other * 2 + other[:2]}]
    source = write_visual_cot_json(tmp_path / "cot", records, {"gqa/1.jpg": picture(1)})
    rows, rejects = prepare("visual_cot", source, tmp_path / "out")
    assert [row["reward_model"]["ground_truth"] for row in rows] == ["cat", "left", "left"]
    assert info(rows[0], "boxes") != info(rows[1], "boxes")
    assert reasons(rejects) == ["a question without an answer"]
