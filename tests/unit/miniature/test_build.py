import hashlib
import io
import json
import re

import pyarrow.parquet as pq
import pytest
from PIL import Image

from easyr1_fgrpo.files import whole_folder
from easyr1_fgrpo.miniature.build import build
from easyr1_fgrpo.miniature.oracle import OracleJudge
from easyr1_fgrpo.miniature.render import fingerprint
from easyr1_fgrpo.rewards.response import parse_response

SIZES = {"train": 12, "val": 8, "test": 8, "sft": 12, "sft_val": 4}
QUESTION_FILES = ("train", "val", "test")
FILES = ("train", "val", "test", "sft_train", "sft_val")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    out = tmp_path_factory.mktemp("miniature") / "world"
    build(out, seed=3, **SIZES)
    return out


def read(world, name):
    return pq.read_table(world / f"{name}.parquet").to_pylist()


def picture_of(row):
    (image,) = row["images"]
    assert set(image) == {"bytes"}
    return Image.open(io.BytesIO(image["bytes"]))


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_the_files(world):
    assert {path.name for path in world.iterdir()} == {*(f"{name}.parquet" for name in FILES), "scenes.jsonl"}
    assert {name: len(read(world, name)) for name in FILES} == {
        "train": 12,
        "val": 8,
        "test": 8,
        "sft_train": 12,
        "sft_val": 4,
    }


@pytest.mark.parametrize("split", QUESTION_FILES)
def test_question_rows(world, split):
    for index, row in enumerate(read(world, split)):
        info = row["extra_info"]
        assert row["data_source"] == "miniature"
        assert row["prompt"] == [{"role": "user", "content": f"<image>{info['question']}"}]
        assert (info["index"], info["split"], info["source"]) == (index, split, "miniature")
        assert picture_of(row).size == (info["width"], info["height"]) == (84, 84)
        assert row["reward_model"]["style"] == "rule"
        assert row["reward_model"]["ground_truth"] in info["choices"]
        assert all(re.search(rf"\b{choice}\b", info["question"]) for choice in info["choices"])
        assert len(info["boxes"]) == (2 if index % 2 == 0 else 0)


def test_boxes_are_those_of_the_asked_objects(world):
    scenes = {}
    for line in (world / "scenes.jsonl").read_text().splitlines():
        scene = json.loads(line)
        scenes[scene["picture"]] = {thing["colour"]: thing["box"] for thing in scene["things"]}
    for row in read(world, "train")[::2]:
        boxes = scenes[fingerprint(picture_of(row))]
        assert row["extra_info"]["boxes"] == [boxes["red"], boxes["blue"]]


@pytest.mark.parametrize("name", ["sft_train", "sft_val"])
def test_conversations(world, name):
    for row in read(world, name):
        user, assistant = row["messages"]
        assert user["role"] == "user"
        assert user["content"].startswith("<image>Is red ")
        assert assistant["role"] == "assistant"
        assert parse_response(assistant["content"]).answer is not None


def test_the_oracle_knows_every_picture_once(world):
    known = OracleJudge(world / "scenes.jsonl")._scenes
    pictures = [fingerprint(picture_of(row)) for name in FILES for row in read(world, name)]
    assert len(set(pictures)) == len(pictures) == len(known)
    assert set(pictures) == set(known)


def test_same_seed_same_bytes(world, tmp_path):
    build(tmp_path / "again", seed=3, **SIZES)
    assert digests(tmp_path / "again") == digests(world)


def test_another_seed_is_another_world(world, tmp_path):
    build(tmp_path / "other", seed=4, **SIZES)
    mine, other = digests(world), digests(tmp_path / "other")
    assert all(mine[name] != other[name] for name in mine)


def test_held_out_questions_do_not_depend_on_how_much_is_trained_on(world, tmp_path):
    build(tmp_path / "more", seed=3, **{**SIZES, "train": 20, "sft": 15})
    for name in ("test", "val", "sft_val"):
        assert read(tmp_path / "more", name) == read(world, name)


def test_a_killed_run_leaves_nothing_half_done(tmp_path):
    def interrupted():
        with whole_folder(tmp_path / "out") as folder:
            (folder / "train.parquet").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not (tmp_path / "out").exists()
    with whole_folder(tmp_path / "out") as folder:
        (folder / "val.parquet").write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["val.parquet"]


def test_what_is_there_is_not_overwritten(world):
    with pytest.raises(FileExistsError, match=re.escape(str(world))):
        build(world, seed=3, **SIZES)


def test_an_empty_folder_may_be_filled(tmp_path):
    with whole_folder(tmp_path) as folder:
        (folder / "a").write_text("")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
