import shutil

import pytest

from easyr1_fgrpo.checkpoints import checkpoint_problems, checkpoint_sha256


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
