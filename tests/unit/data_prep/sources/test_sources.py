# What all sources have in common.
import io
import json

import pytest
from PIL import Image
from prepared import info, prepare, reasons
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

from easyr1_fgrpo.rows import check_rows


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
    for name, folder in [("vgr", vgr), ("visual_cot", cot), ("visual_cot", text), ("treevgr", tree)]:
        (row,), _ = prepare(name, folder, tmp_path / "out" / folder.name, llava if name == "vgr" else "")
        (boxes[folder.name],) = info(row, "boxes")
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
    with pytest.raises(ValueError, match="holds none of"):
        prepare(name, tmp_path, tmp_path / "out")
    with pytest.raises(ValueError, match="no such file or folder, and no hub id"):
        prepare(name, "/no/such/folder", tmp_path / "out")


def test_a_hub_that_is_out_of_reach_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match="array/SAT: cannot be read from the hub") as caught:
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
