"""A row of EasyR1's, and one of ours, as rewards read them."""

from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from easyr1_fgrpo.easyr1_plugin.rows import ROW, Rows
from easyr1_fgrpo.task_prompt import INSTRUCTION
from easyr1_fgrpo.training.rollout import sample_of

KEYS = SimpleNamespace(
    prompt_key="problem", answer_key="answer", image_key="images", video_key="videos", image_dir=None
)


def file_of(picture, kind="PNG"):
    buffer = BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


RED = Image.new("RGB", (100, 60), "red")
THEIRS = {"problem": "<image>Where is it?", "answer": 4, "images": [{"bytes": file_of(RED), "path": None}]}
OURS = {
    "data_source": "x",
    "prompt": [{"role": "system", "content": "Think."}, {"role": "user", "content": "<image>Where?"}],
    "images": [{"bytes": file_of(RED)}],
    "reward_model": {"style": "rule", "ground_truth": "left"},
    "extra_info": {
        "index": 7, "split": "test", "question": "Where?", "choices": ["left", "right"], "source": "x",
        "boxes": [[10.0, 10.0, 50.0, 30.0]], "width": 100, "height": 60,
    },
}  # fmt: skip


def read(row, split="train", keys=KEYS):
    return Rows([row], keys, split)[0]


def test_a_row_of_easyr1():
    found = read(THEIRS | {"choices": ["three", "4"], "boxes": [[0, 0, 50, 30]], "source": "dropped"}, split="val")
    assert {key: found[key] for key in ("problem", "answer")} == {"problem": "<image>Where is it?", "answer": "4"}
    assert set(found) == {"problem", "answer", "images", ROW}
    sample = sample_of(found[ROW], (RED.resize((200, 120)),))
    assert (sample.question, sample.choices, sample.ground_truth) == ("Where is it?", ("three", "4"), "4")
    assert sample.boxes == ((0, 0, 100, 60),)
    assert (sample.index, sample.split) == (0, "val")


def test_a_row_without_choices_and_boxes_has_a_free_answer():
    sample = sample_of(read(THEIRS)[ROW], (RED,))
    assert (sample.choices, sample.boxes) == ((), ())


def test_a_row_of_ours_keeps_its_number_and_its_turns():
    found = read(OURS)
    assert found["problem"] == OURS["prompt"]
    assert found["answer"] == "left"
    sample = sample_of(found[ROW], (RED.resize((50, 30)),))
    assert (sample.index, sample.split, sample.question) == (7, "train", "Where?")
    assert sample.boxes == ((5, 5, 25, 15),)


def test_pictures_are_what_judges_see(tmp_path):
    """EasyR1 drops transparency; here it is white, whatever the picture is stored as."""
    clear = Image.new("RGBA", (30, 20), (255, 0, 0, 0))
    (from_bytes,) = read(THEIRS | {"images": [{"bytes": file_of(clear)}]})["images"]
    assert Image.open(BytesIO(from_bytes["bytes"])).convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    (opened,) = read(THEIRS | {"images": [clear]})["images"]
    assert opened.getpixel((0, 0)) == (255, 255, 255)
    RED.save(tmp_path / "red.png")
    named = SimpleNamespace(**{**vars(KEYS), "image_dir": str(tmp_path)})
    found = read(THEIRS | {"images": ["red.png"]}, keys=named)
    assert found["images"] == ["red.png"]  # EasyR1 puts the folder before it
    assert (found[ROW]["extra_info"]["width"], found[ROW]["extra_info"]["height"]) == (100, 60)


def test_a_row_without_pictures_and_one_with_a_video():
    assert "images" not in read({"problem": "1 + 1?", "answer": "2"})
    assert read({"problem": "1 + 1?", "answer": "2", "images": []})["images"] == []
    with pytest.raises(ValueError, match=r"^row 0: it has videos, and FGRPO's judges look at pictures only"):
        read(THEIRS | {"videos": ["film.mp4"]})


def test_the_prompt_for_rows_of_easyr1_has_the_words_of_ours():
    template = Path(__file__).parents[3] / "recipes/easyr1/format_prompt.jinja"
    assert template.read_text() == f"{INSTRUCTION}\n\n{{{{ content | trim }}}}\n"
