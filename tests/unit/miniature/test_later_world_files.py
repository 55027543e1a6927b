"""What is written of the worlds that came after the first one, whose files have hashes of their own."""

import hashlib
import io
import json
from collections import Counter

import pyarrow.parquet as pq
import pytest
from PIL import Image

from easyr1_fgrpo.config.load import load_config, read_settings
from easyr1_fgrpo.miniature.build import build
from easyr1_fgrpo.miniature.render import fingerprint
from easyr1_fgrpo.miniature.tokenizer import build_tokenizer
from easyr1_fgrpo.miniature.worlds import WORLDS
from easyr1_fgrpo.rows import check_rows

SIZES = {"train": 60, "val": 20, "test": 40, "sft": 40, "sft_val": 8}
FILES = ("train", "val", "test", "sft_train", "sft_val")
NAMES = ("two_step", "four_way")
HELD_OUT = [(name, kind) for name in NAMES for kind in WORLDS[name].QUESTIONS]


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    made = {name: tmp_path_factory.mktemp(name) / "world" for name in NAMES}
    for name, out in made.items():
        build(out, seed=0, world=name, **SIZES)
    return made


def read(world, name):
    return pq.read_table(world / f"{name}.parquet").to_pylist()


def kinds(name, rows):
    kind = {text: kind for kind, text in WORLDS[name].QUESTIONS.items()}
    return Counter(kind[row["extra_info"]["question"]] for row in rows)


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_rows(worlds, name):
    assert check_rows([worlds[name] / f"{split}.parquet" for split in ("train", "val", "test")]) == []
    for index, row in enumerate(read(worlds[name], "train")):
        assert row["data_source"] == row["extra_info"]["source"] == f"miniature_{name}"
        assert len(row["extra_info"]["choices"]) == {"two_step": 2, "four_way": 4}[name]
        assert len(row["extra_info"]["boxes"]) == (3 if index % 2 == 0 else 0)


@pytest.mark.parametrize("name", NAMES)
def test_no_scene_and_no_picture_is_in_two_splits(worlds, name):
    lines = [json.loads(line) for line in (worlds[name] / "scenes.jsonl").read_text().splitlines()]
    pictures = [
        fingerprint(Image.open(io.BytesIO(row["images"][0]["bytes"])))
        for split in FILES
        for row in read(worlds[name], split)
    ]
    assert len({json.dumps(line["things"]) for line in lines}) == len(lines) == sum(SIZES.values())
    assert len(set(pictures)) == len(pictures)
    assert {line["picture"] for line in lines} == set(pictures)


@pytest.mark.parametrize(("name", "held_out"), HELD_OUT)
def test_the_held_out_type_is_in_every_file_but_the_training_questions(worlds, tmp_path, name, held_out):
    build(tmp_path / "world", seed=0, world=name, held_out=held_out, **SIZES)
    all_kinds = set(WORLDS[name].QUESTIONS)
    assert set(kinds(name, read(worlds[name], "train"))) == all_kinds
    assert set(kinds(name, read(tmp_path / "world", "train"))) == all_kinds - {held_out}
    assert len(read(tmp_path / "world", "train")) == SIZES["train"]
    assert set(kinds(name, read(tmp_path / "world", "test"))) == all_kinds
    for split in ("test", "val", "sft_train", "sft_val"):
        assert read(tmp_path / "world", split) == read(worlds[name], split)


@pytest.mark.parametrize(
    ("name", "rows", "scenes", "vocabulary"),
    [
        ("two_step", "72d288b9e1fe614f", "831149de2947e6e9", "1cc62f9723ced962"),
        ("four_way", "79c2b5d7c4e59106", "035b00309f4542db", "092df06192ced07d"),
    ],
)
def test_a_seed_is_a_world_for_good(worlds, name, rows, scenes, vocabulary):
    """Published runs were trained on these: questions, pictures, traces and token ids, as hashes."""
    written = {split: read(worlds[name], split) for split in FILES}
    for row in (row for split in written.values() for row in split):
        row["images"] = [fingerprint(Image.open(io.BytesIO(image["bytes"]))) for image in row["images"]]
    assert digest(json.dumps(written, sort_keys=True)) == rows
    assert digest((worlds[name] / "scenes.jsonl").read_text()) == scenes
    assert digest(json.dumps(sorted(build_tokenizer(WORLDS[name]).get_vocab().items()))) == vocabulary


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def test_the_config_of_the_second_world():
    groups = ["backbone=tiny", "dataset=miniature_two_step", "judge=oracle", "scale=cpu"]
    config = load_config([*groups, "seed=2", "stages.held_out=farther_vertical"])
    settings = read_settings(config)
    assert config.data.train_files == "runs/miniature_two_step-s2/world_without_farther_vertical/train.parquet"
    assert settings.reward_servers["oracle"].options["scenes"].startswith("runs/miniature_two_step-s2/world_without_")
    assert (config.data.train_batch_size, config.actor_rollout_ref.rollout.n) == (24, 5)
    assert config.actor_rollout_ref.actor.optim.lr == 3e-4
    assert (config.trainer.total_training_steps, config.stages.backbone_steps) == (200, 400)
    assert config.data.train_batch_size * config.trainer.total_training_steps <= config.stages.scenes.train
    assert settings.run_dir == "runs/fgrpo_two_step_cpu-s2"
