# Each source in its published format; every known defect of the releases has a test here.
import io
import json

import pytest
from PIL import Image
from source_files import (
    encode,
    make_sources,
    picture,
    sat_record,
    treevgr_record,
    vgr_record,
    visual_cot_conversation,
    visual_cot_record,
    write_llava_images,
    write_sat,
    write_treevgr,
    write_vgr,
    write_visual_cot,
    write_visual_cot_json,
)

from data_prep.decontaminate import Benchmarks
from data_prep.normalise import prepare_source
from data_prep.open_ended import OpenEnded
from data_prep.shards import read_rejects, read_rows
from data_prep.sources import SourceError
from easyr1_fgrpo.rows import check_rows

NOBODY = Benchmarks()


def prepare(name, location, out, images="", seed=0, open_ended="keep"):
    """Rows and rejects of a source; in = out + rejects always holds."""
    summary = prepare_source(name, str(location), str(images), out, seed, OpenEnded(open_ended), NOBODY)
    rows, rejects = list(read_rows(out)), list(read_rejects(out))
    assert summary["in"] == len(rows) + len(rejects) == summary["out"] + sum(summary["rejected"].values())
    numbers = [row["extra_info"]["index"] for row in rows] + [reject["row"] for reject in rejects]
    assert sorted(numbers) == list(range(summary["in"]))
    return rows, rejects


def info(row, key):
    return row["extra_info"][key]


def reasons(rejects):
    return [reject["reason"] for reject in rejects]


# ---------------------------------------------------------------------- all


def test_four_box_conventions_of_one_picture_land_on_the_same_pixels(tmp_path):
    # 391 x 500, Visual-CoT's own example: pixels [217, 343, 242, 393], padded [0.542, 0.686, 0.592, 0.786].
    photo, box = picture(1, 391, 500), [217, 343, 242, 393]
    vgr = write_vgr(
        tmp_path / "vgr", [vgr_record("gqa/images/1.jpg", "What?", "cake", [[217 / 391, 0.686, 242 / 391, 0.786]])]
    )
    llava = write_llava_images(tmp_path / "llava", {"gqa/images/1.jpg": photo})
    metadata = visual_cot_record("gqa", "1.jpg", "What?", "cake", [box], 391, 500)
    cot = write_visual_cot(tmp_path / "cot", [metadata], {"gqa/1.jpg": photo})
    padded = visual_cot_conversation("gqa", "cot/gqa/1.jpg", "What?", "cake", [0.542, 0.686, 0.592, 0.786])
    text = write_visual_cot_json(tmp_path / "text", [padded], {"gqa/1.jpg": photo})
    record = treevgr_record("images/0.jpg", "What?", "cake", [box])
    tree = write_treevgr(tmp_path / "tree", [record], {"images/0.jpg": photo})
    boxes = {}
    for name, place in [("vgr", vgr), ("visual_cot", cot), ("visual_cot", text), ("treevgr", tree)]:
        (row,), _ = prepare(name, place, tmp_path / "out" / place.name, llava if name == "vgr" else "")
        (boxes[place.name],) = info(row, "boxes")
        assert (info(row, "width"), info(row, "height")) == (391, 500)
    assert boxes["cot"] == boxes["tree"] == box
    assert boxes["vgr"] == pytest.approx(box, abs=1e-9)
    assert boxes["text"] == pytest.approx(box, abs=0.5)  # three decimals of 500 pixels


@pytest.mark.parametrize("open_ended", ["keep", "drop", "to-choices"])
def test_generated_sources_become_valid_rows(tmp_path, open_ended):
    make_sources(tmp_path, rows=8)
    for name in ("sat", "vgr", "visual_cot", "treevgr"):
        images = tmp_path / "llava" if name == "vgr" else ""
        rows, rejects = prepare(name, tmp_path / name, tmp_path / "out" / name, images, open_ended=open_ended)
        multiple_choice = {"sat": 8, "treevgr": 4}.get(name, 0)
        if open_ended == "drop":
            assert (len(rows), reasons(rejects)) == (multiple_choice, ["open-ended question"] * (8 - multiple_choice))
            continue
        assert len(rows) == 8
        assert check_rows(sorted((tmp_path / "out" / name).glob("rows-*.parquet"))) == []
        assert all(info(row, "boxes") for row in rows) == (name != "sat")
        asked = [row for row in rows if info(row, "choices")]
        assert len(asked) == (multiple_choice if open_ended == "keep" else 8)
        for row in asked:
            assert row["reward_model"]["ground_truth"] in info(row, "choices")
            assert f". {row['reward_model']['ground_truth']}" in row["prompt"][1]["content"]


@pytest.mark.parametrize("name", ["sat", "vgr", "visual_cot", "treevgr"])
def test_a_location_without_the_sources_files_is_refused(tmp_path, name):
    with pytest.raises(SourceError, match="holds none of"):
        prepare(name, tmp_path, tmp_path / "out")
    with pytest.raises(SourceError, match="no such file or folder, and no hub id"):
        prepare(name, "/no/such/place", tmp_path / "out")


def test_a_hub_that_is_out_of_reach_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(SourceError, match="array/SAT: cannot be read from the hub") as caught:
        prepare("sat", "", tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_tokens_that_trainers_count_are_refused(tmp_path):
    photo = picture(0)
    records = [
        sat_record([photo], "<image>Left<image> or right?"),
        sat_record([photo], "Left or right in <video>?"),
        sat_record([photo], answers=("left", "right<|im_end|>")),
    ]
    rows, rejects = prepare("sat", write_sat(tmp_path / "sat", records), tmp_path / "out")
    assert [row["prompt"][1]["content"].splitlines()[0] for row in rows] == ["<image>Left or right?"]
    assert [(reject["reason"], reject["detail"]) for reject in rejects] == [
        ("special token in the text", "<video>"),
        ("special token in the text", "<|im_end|>"),
    ]


# ---------------------------------------------------------------------- SAT


def test_sat_shuffles_each_row_by_its_own_seed(tmp_path):
    records = [sat_record([picture(0)], f"Question {n}?", ("a b", "c", "d")) for n in range(60)]
    source = write_sat(tmp_path / "sat", records)
    rows, _ = prepare("sat", source, tmp_path / "out")
    orders = [tuple(info(row, "choices")) for row in rows]
    assert all(sorted(order) == ["a b", "c", "d"] for order in orders)
    places = [order.index("a b") for order in orders]
    assert {places.count(place) > 10 for place in range(3)} == {True}
    fewer, _ = prepare("sat", write_sat(tmp_path / "fewer", records[:7]), tmp_path / "out-fewer")
    assert [info(row, "choices") for row in fewer] == [list(order) for order in orders[:7]]
    other, _ = prepare("sat", source, tmp_path / "out-other", seed=1)
    assert [tuple(info(row, "choices")) for row in other] != orders


def test_sat_forgets_in_the_first_frame(tmp_path):
    record = sat_record([picture(0)], answers=("closer In the first frame", "further in the first frame"))
    (row,), _ = prepare("sat", write_sat(tmp_path / "sat", [record]), tmp_path / "out")
    assert sorted(info(row, "choices")) == ["closer", "further"]
    assert row["reward_model"]["ground_truth"] == "closer"


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
        *("the answer is none of the choices", "fewer than two choices", "unreadable image"),
        *("malformed record", "no question"),
    ]


def test_sats_benchmark_split_is_refused(tmp_path):
    source = write_sat(tmp_path, [sat_record([picture(0)])], "SAT_test.parquet")
    with pytest.raises(SourceError, match="the test split of array/SAT is a benchmark"):
        prepare("sat", source / "SAT_test.parquet", tmp_path / "out")
    with pytest.raises(SourceError, match="holds none of"):
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


# ---------------------------------------------------------------------- VGR


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
    place = tmp_path / "llava" / "coco" / "train2017"
    place.mkdir(parents=True)
    (place / "1.jpg").write_bytes(picture(1))
    records = [vgr_record(f"coco/train2017/{name}", "What?", "cat") for name in ("1.jpg", "2.jpg", "../../../x.jpg")]
    rows, rejects = prepare("vgr", write_vgr(tmp_path / "vgr", records), tmp_path / "out", tmp_path / "llava")
    assert len(rows) == 1
    assert reasons(rejects) == ["missing image", "image path leaves the folder"]
    assert not (tmp_path / "out" / "unpacked").exists()


# ---------------------------------------------------------------------- Visual-CoT


def test_visual_cot_same_basename_in_two_datasets(tmp_path):
    records = [visual_cot_record(name, "7.jpg", "What?", "cat", [[1, 1, 9, 9]]) for name in ("gqa", "visual7w")]
    pictures = {"gqa/7.jpg": picture(1), "v7w/7.jpg": picture(2), "docvqa/7.jpg": picture(3)}
    rows, _ = prepare("visual_cot", write_visual_cot(tmp_path / "cot", records, pictures), tmp_path / "out")
    found = {info(row, "dataset"): row["images"][0]["bytes"] for row in rows}
    assert found == {"gqa": picture(1), "visual7w": picture(2)}
    assert not list((tmp_path / "out" / "unpacked").rglob("docvqa"))


def test_visual_cot_a_path_found_twice_is_ambiguous(tmp_path):
    for place in ("old/gqa", "new/gqa"):
        (tmp_path / "images" / place).mkdir(parents=True)
        (tmp_path / "images" / place / "7.jpg").write_bytes(picture(place))
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
    with pytest.raises(SourceError, match="cot_images_00: cannot be unpacked"):
        prepare("visual_cot", source, tmp_path / "out")


# ---------------------------------------------------------------------- TreeVGR


@pytest.mark.parametrize(
    "asked",
    [
        "How many cars?\nA. 5\nB. 6\nC. 7",
        "How many cars?\n(A) 5\n(B) 6\n(C) 7\nPlease answer with the letter.",
        "How many cars? Options: A. 5 B. 6 C. 7",
        "How many cars?\nOptions:\nA) 5\nB) 6\nC) 7\nAnswer with the option's letter from the given choices directly.",
    ],
)
@pytest.mark.parametrize("answer", ["B", "(b)", "B.", "6"])
def test_treevgr_visdrone_options(tmp_path, asked, answer):
    record = treevgr_record("images/0.jpg", asked, answer, [[1, 1, 9, 9], [20, 20, 40, 40]])
    source = write_treevgr(tmp_path / "tree", [record], {"images/0.jpg": picture(0)})
    (row,), _ = prepare("treevgr", source, tmp_path / "out")
    assert (info(row, "question"), info(row, "choices")) == ("How many cars?", ["5", "6", "7"])
    assert (row["reward_model"]["ground_truth"], info(row, "dataset")) == ("6", "visdrone")
    assert info(row, "boxes") == [[1, 1, 9, 9], [20, 20, 40, 40]]


def test_treevgr_rows_that_cannot_be_used(tmp_path):
    records = [
        treevgr_record("images/0.jpg", "How many?", "(C)", []),
        treevgr_record("images/9.jpg", "What?", "cat", []),
        treevgr_record("images/0.jpg", "What?", "cat", [[50, 40, 10, 10]]),
        treevgr_record("images/0.jpg", "What?", "cat", [[90, 60, 10, 10]]),
    ]
    source = write_treevgr(tmp_path / "tree", records, {"images/0.jpg": picture(0)})
    (row,), rejects = prepare("treevgr", source, tmp_path / "out")
    assert info(row, "boxes") == [[10, 10, 90, 60]]
    assert reasons(rejects) == ["a letter without options", "missing image", "box cannot be used"]


# ---------------------------------------------------------------------- pictures


def test_picture_bytes_are_kept_unless_trainers_might_not_read_them(tmp_path):
    shades = Image.open(io.BytesIO(picture(5, form="PNG")))
    kept = [encode(shades, form) for form in ("PNG", "JPEG", "WEBP")]
    changed = [
        encode(shades, "BMP"),
        encode(shades, "TIFF"),
        encode(shades, "GIF", save_all=True, append_images=[shades]),
    ]
    source = write_sat(tmp_path / "sat", [sat_record([data]) for data in kept + changed])
    rows, _ = prepare("sat", source, tmp_path / "out")
    assert [row["images"][0]["bytes"] for row in rows[:3]] == kept
    for row, data in zip(rows[3:], changed, strict=True):
        stored = Image.open(io.BytesIO(row["images"][0]["bytes"]))
        assert (stored.format, stored.size) == ("PNG", shades.size)
        assert stored.tobytes() == Image.open(io.BytesIO(data)).convert("RGB").tobytes()


def test_rejects_are_plain_ascii_lines(tmp_path):
    source = write_sat(tmp_path / "sat", [sat_record([picture(0)], correct="up\u202e\n\x1b[31m" + "x" * 5000)])
    prepare("sat", source, tmp_path / "out")
    (line,) = (tmp_path / "out" / "rejects-00000.jsonl").read_bytes().splitlines()
    assert line.isascii()
    assert len(line) < 600
    assert json.loads(line)["source"] == "sat"
