import json
import shutil
from pathlib import Path

import pytest

from easyr1_fgrpo.checkpoints import (
    CheckpointError,
    checkpoint_problems,
    checkpoint_sha256,
    finished_step,
    last_checkpoint,
    read_state,
    step_folder,
    step_of,
)


def test_the_last_whole_checkpoint_is_the_one_that_the_marker_names(tmp_path):
    assert finished_step(tmp_path) is None
    with pytest.raises(CheckpointError, match="no checkpoint there yet; train first"):
        last_checkpoint(tmp_path)
    (tmp_path / "latest_checkpointed_iteration.txt").write_text("40")
    step_folder(tmp_path, 60).mkdir()  # begun and not finished
    assert finished_step(tmp_path) == 40
    assert last_checkpoint(tmp_path) == tmp_path / "global_step_40"


def test_the_step_of_a_folder_is_in_its_name():
    assert step_of(Path("run/checkpoints/global_step_12")) == 12
    assert step_of(Path("run/checkpoints/global_step_12/actor")) is None
    assert step_of(Path("run/global_step_")) is None


def test_the_state_of_the_multipliers_is_read_or_missed(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"fgrpo\.json is missing: this checkpoint was not written by"):
        read_state(tmp_path)
    state = {"controller": "fixed", "multipliers": {"consistency": 1.5}}
    (tmp_path / "fgrpo.json").write_text(json.dumps(state))
    assert read_state(tmp_path) == state


def test_a_whole_checkpoint_has_no_problems(checkpoint):
    assert checkpoint_problems(checkpoint) == []


@pytest.mark.parametrize(
    ("absent", "what"),
    [
        ("config.json", "configuration"),
        ("model.safetensors", "weights"),
        ("tokenizer.json", "tokenizer"),
        ("preprocessor_config.json", "image processor"),
    ],
)
def test_a_missing_part_is_named(checkpoint, tmp_path, absent, what):
    folder = tmp_path / "copy"
    shutil.copytree(checkpoint, folder)
    (folder / absent).unlink()
    (problem,) = checkpoint_problems(folder)
    assert problem.startswith(f"{folder}: the checkpoint has no {what} (")
    assert checkpoint_problems(folder / "none") == [f"{folder / 'none'}: no such checkpoint folder"]


def test_the_hash_follows_the_content_not_the_place(checkpoint, tmp_path):
    folder = tmp_path / "moved"
    shutil.copytree(checkpoint, folder)
    assert checkpoint_sha256(folder) == checkpoint_sha256(checkpoint)
    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert checkpoint_sha256(folder) != checkpoint_sha256(checkpoint)
