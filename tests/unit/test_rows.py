import copy
import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from easyr1_fgrpo.miniature import build
from easyr1_fgrpo.rows import BATCH_ROWS, Row, check_rows, count_rows, read_rows, special_token


def picture(width=20, height=10, form="PNG"):
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, format=form)
    return buffer.getvalue()


GOOD = {
    "data_source": "test",
    "prompt": [{"role": "user", "content": "<image>Left or right?"}],
    "images": [{"bytes": picture()}],
    "reward_model": {"style": "rule", "ground_truth": "left"},
    "extra_info": {
        "index": 0,
        "split": "train",
        "question": "Left or right?",
        "choices": ["left", "right"],
        "source": "test",
        "boxes": [[0.0, 0.0, 10.0, 10.0]],
        "width": 20,
        "height": 10,
    },
}


def row_with(index=0, **changes):
    """A good row with some of its values changed; names with __ reach into a column."""
    row = copy.deepcopy(GOOD)
    row["extra_info"]["index"] = index
    for name, value in changes.items():
        *columns, key = name.split("__")
        struct = row
        for column in columns:
            struct = struct[column]
        struct[key] = value
    return row


def write(path, rows):
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_good_rows_have_no_problems_and_are_read_back(tmp_path):
    rows = [row_with(index) for index in range(2 * BATCH_ROWS + 1)]
    path = write(tmp_path / "rows.parquet", rows)
    assert check_rows([path]) == []
    read = list(read_rows(path))
    assert count_rows(path) == len(read) == len(rows)
    assert [row.extra_info.index for row in read] == list(range(len(rows)))
    assert read[0].prompt[0].content == "<image>Left or right?"
    assert read[0].open_images()[0].size == (20, 10)


def test_the_miniatures_rows_are_rows(tmp_path):
    build.build(tmp_path / "world", seed=0, train=5, val=1, test=1, sft=1, sft_val=1)
    files = [tmp_path / "world" / f"{split}.parquet" for split in ("train", "val", "test")]
    assert check_rows(files) == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"images": []}, "images: is empty"),
        ({"images": None}, "images: is missing"),
        ({"images": [{"bytes": None}]}, "images.0.bytes: is missing"),
        ({"images": [{"bytes": None, "path": "http://127.0.0.1:9/a.png"}]}, "images.0.bytes: is missing"),
        ({"images": [{"bytes": b"no image"}]}, "unreadable image"),
        ({"images": [{"bytes": picture()[:-40]}]}, "unreadable image"),
        ({"images": [{"bytes": picture(form="JPEG")[:-40]}]}, "unreadable image"),
        ({"reward_model__ground_truth": None}, "reward_model.ground_truth: is missing"),
        ({"reward_model__ground_truth": " "}, "reward_model.ground_truth: is blank"),
        ({"extra_info__choices": ["left", "right", "Left."]}, "'left' and 'Left.' are the same answer"),
        ({"reward_model__ground_truth": "up"}, "ground_truth 'up' is none of the choices ['left', 'right']"),
        ({"reward_model__ground_truth": "?!", "extra_info__choices": []}, "ground_truth '?!' says nothing"),
        ({"prompt": []}, "prompt: is empty"),
        ({"prompt": [{"role": "user", "content": "Left?"}]}, "the prompt has 0 <image> marks for 1 images"),
        ({"extra_info__question": None}, "extra_info.question: is missing"),
        ({"extra_info__question": "What is in the <video>?"}, "extra_info.question: holds <video>, which"),
        (
            {"extra_info__question": "<image> Left?"},
            "extra_info.question: holds <image>, which belongs",
        ),
        ({"extra_info__choices": ["left", "right<|im_end|>"]}, "extra_info.choices.1: holds <|im_end|>, which"),
        ({"prompt": [{"role": "user", "content": "<image>Left?<audio>"}]}, "prompt.0.content: holds <audio>, which"),
        ({"reward_model__ground_truth": "left</s>"}, "reward_model.ground_truth: holds </s>, which"),
        ({"extra_info__choices": ["left"]}, "extra_info.choices: are 1: two at least, and one a letter (26) at most"),
        ({"extra_info__choices": ["left", *map(str, range(26))]}, "extra_info.choices: are 27: two at least"),
        ({"images": [{"bytes": picture(401, 2)}]}, "401 x 2 pixels: one side is more than 200 times the other"),
        ({"extra_info__split": ""}, "extra_info.split: is blank"),
        ({"extra_info__index": None}, "extra_info.index: is missing"),
        ({"extra_info__width": 0}, "extra_info.width"),
        ({"extra_info__height": 12}, "20 x 10 pixels, extra_info says 20 x 12"),
        ({"extra_info__boxes": [[0.0, 0.0, 21.0, 5.0]]}, "box [0, 0, 21, 5] is not a box inside the image of 20 x 10"),
        ({"extra_info__boxes": [[-1.0, 0.0, 5.0, 5.0]]}, "box [-1, 0, 5, 5]"),
        ({"extra_info__boxes": [[5.0, 0.0, 2.0, 5.0]]}, "box [5, 0, 2, 5]"),
        ({"extra_info__boxes": [[0.0, 0.0, float("nan"), 5.0]]}, "extra_info.boxes.0.2"),
        ({"extra_info__boxes": [[0.0, 0.0, 5.0]]}, "extra_info.boxes.0"),
    ],
)
def test_a_bad_row_is_named_by_file_and_row(tmp_path, changes, named):
    path = write(tmp_path / "rows.parquet", [row_with(0), row_with(1), row_with(2, **changes), row_with(3)])
    (problem,) = check_rows([path])
    assert problem.startswith(f"{path} row 2: ")
    assert named in problem
    assert "\n" not in problem


def test_every_bad_row_of_every_file_is_named_with_all_that_is_wrong(tmp_path):
    first = write(tmp_path / "a.parquet", [row_with(n, images=[]) for n in range(BATCH_ROWS + 3)])
    second = write(tmp_path / "b.parquet", [row_with(100), row_with(101, extra_info__split="", images=None)])
    problems = check_rows([first, second])
    assert [problem.split(":")[0] for problem in problems] == [
        *(f"{first} row {n}" for n in range(BATCH_ROWS + 3)),
        f"{second} row 1",
    ]
    assert problems[-1].endswith("images: is missing; extra_info.split: is blank")


def test_an_index_twice_in_a_split_is_named_with_its_first_place(tmp_path):
    first = write(tmp_path / "a.parquet", [row_with(0), row_with(1)])
    second = write(tmp_path / "b.parquet", [row_with(0, extra_info__split="val"), row_with(1)])
    assert check_rows([first, second]) == [f"{second} row 1: the extra_info.index and split of {first} row 1 again"]


def test_files_that_are_no_tables_of_rows(tmp_path):
    text = tmp_path / "text.parquet"
    text.write_text("hello")
    empty = tmp_path / "empty.parquet"
    pq.write_table(pa.Table.from_pylist([GOOD]).slice(0, 0), empty)
    unlabelled = write(
        tmp_path / "unlabelled.parquet", [{key: GOOD[key] for key in ("data_source", "prompt", "images")}]
    )
    info = {key: value for key, value in GOOD["extra_info"].items() if key not in ("question", "source")}
    poor = write(tmp_path / "poor.parquet", [{**GOOD, "extra_info": info}])
    problems = check_rows([tmp_path / "absent.parquet", text, empty, unlabelled, poor])
    assert "absent.parquet: cannot be read as parquet" in problems[0]
    assert f"{text}: cannot be read as parquet" in problems[1]
    assert problems[2:] == [
        f"{empty}: no rows",
        f"{unlabelled}: no column reward_model, extra_info",
        f"{poor}: no column extra_info.question",
    ]


def test_reading_stops_at_the_first_bad_row_and_names_it(tmp_path):
    path = write(tmp_path / "rows.parquet", [row_with(0), row_with(1, reward_model__ground_truth="")])
    rows = read_rows(path)
    assert next(rows).extra_info.index == 0
    with pytest.raises(ValueError, match=r"rows.parquet row 1: reward_model.ground_truth: is blank"):
        next(rows)


def test_a_free_answer_needs_no_choices():
    row = Row.model_validate(
        row_with(extra_info__choices=None, extra_info__boxes=None, reward_model__ground_truth="42")
    )
    assert (row.extra_info.choices, row.extra_info.boxes) == ((), ())


def test_boxes_follow_the_image_to_another_size():
    row = Row.model_validate(row_with(extra_info__boxes=[[1, 2, 11, 10]]))
    assert row.boxes_at(40, 30) == ((2, 6, 22, 30),)  # 20 x 10 to 40 x 30: x twice, y three times


def test_tokens_of_every_chat_family_are_found_and_other_marks_are_text(subtests):
    tokens = [
        *("<|im_start|>", "<|vision_end|>", "<|image_pad|>", "<|eot_id|>", "<|begin_of_text|>", "<|user|>"),
        *("<video>", "<audio>", "<s>", "</s>", "<bos>", "<eos>", "<pad>", "<unk>", "[INST]", "[/INST]", "<<SYS>>"),
        *("<</SYS>>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<image_soft_token>", "<｜User｜>"),
        *("[IMG]", "[IMG_END]", "[gMASK]", "<img>", "</img>", "<IMG_CONTEXT>", "<end_of_utterance>", "<|image_1|>"),
    ]
    for token in tokens:
        with subtests.test(token):
            assert special_token(f"Is it{token}left?") == token
    for text in ("<image>", "a < b > c", "x<y|y>z", "|<|>|", "[12, 3]", "<b>bold</b>", "<sample>", "<think>", "IMG"):
        with subtests.test(text):
            assert special_token(text) == ""
