import io
import json
from collections import Counter

import pyarrow.parquet as pq
import pytest
from PIL import Image

from easyr1_fgrpo.config.load import load_config, read_settings
from easyr1_fgrpo.miniature.build import build
from easyr1_fgrpo.miniature.render import fingerprint
from easyr1_fgrpo.miniature.worlds.two_step import QUESTIONS
from easyr1_fgrpo.rows import check_rows

SIZES = {"train": 60, "val": 20, "test": 40, "sft": 40, "sft_val": 8}
FILES = ("train", "val", "test", "sft_train", "sft_val")
KIND = {text: kind for kind, text in QUESTIONS.items()}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    out = tmp_path_factory.mktemp("two_step") / "world"
    build(out, seed=0, world="two_step", **SIZES)
    return out


def read(world, name):
    return pq.read_table(world / f"{name}.parquet").to_pylist()


def kinds(world, name):
    return Counter(KIND[row["extra_info"]["question"]] for row in read(world, name))


def test_rows_are_rows(world):
    assert check_rows([world / f"{name}.parquet" for name in ("train", "val", "test")]) == []
    for index, row in enumerate(read(world, "train")):
        assert row["data_source"] == row["extra_info"]["source"] == "miniature_two_step"
        assert len(row["extra_info"]["boxes"]) == (3 if index % 2 == 0 else 0)


def test_no_scene_and_no_picture_is_in_two_splits(world):
    lines = [json.loads(line) for line in (world / "scenes.jsonl").read_text().splitlines()]
    pictures = [
        fingerprint(Image.open(io.BytesIO(row["images"][0]["bytes"]))) for name in FILES for row in read(world, name)
    ]
    assert len({json.dumps(line["things"]) for line in lines}) == len(lines) == sum(SIZES.values())
    assert len(set(pictures)) == len(pictures)
    assert {line["picture"] for line in lines} == set(pictures)


@pytest.mark.parametrize("held_out", QUESTIONS)
def test_the_held_out_type_is_in_every_file_but_the_training_questions(world, tmp_path, held_out):
    build(tmp_path / "world", seed=0, world="two_step", held_out=held_out, **SIZES)
    assert set(kinds(world, "train")) == set(QUESTIONS)
    assert set(kinds(tmp_path / "world", "train")) == set(QUESTIONS) - {held_out}
    assert len(read(tmp_path / "world", "train")) == SIZES["train"]
    assert set(kinds(tmp_path / "world", "test")) == set(QUESTIONS)
    for name in ("test", "val", "sft_train", "sft_val"):
        assert read(tmp_path / "world", name) == read(world, name)


def test_the_config():
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
