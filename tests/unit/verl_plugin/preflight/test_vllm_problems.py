"""What vLLM would refuse, or lose, when it loads a model, is said before anything starts."""

from __future__ import annotations

import json
import shutil

import pytest
from omegaconf import OmegaConf
from packaging.version import Version

from easyr1_fgrpo.config.load import load_config, read_settings
from easyr1_fgrpo.verl_plugin.preflight import vllm_problems
from easyr1_fgrpo.verl_plugin.preflight.checks import training_problems
from easyr1_fgrpo.verl_plugin.preflight.vllm_problems import judge_server_problems, policy_problems

GROUPS = ["backbone=qwen2_5_vl_7b", "dataset=fgrpo", "judge=qwen3_vl_30b", "scale=gpus_8"]
ROLLOUT = "actor_rollout_ref.rollout"


@pytest.fixture(scope="module")
def config():
    return load_config(GROUPS)


def problems(config, key, value):
    return list(policy_problems(changed(config, key, value)))


def changed(config, key, value):
    copy = OmegaConf.create(OmegaConf.to_container(config, resolve=False))
    OmegaConf.update(copy, key, value)
    return copy


def test_a_policy_is_split_by_its_heads_within_a_node(config):
    """28 heads, 4 of keys and values (which may also be copied), on 8 GPUs: 2 x 2 x 7 and 2 x 2 x 2 share 1, 2, 4."""
    key = f"{ROLLOUT}.tensor_model_parallel_size"
    for size in (1, 2, 4):
        assert problems(config, key, size) == []
    for size in (3, 7, 8, 16):
        (line,) = problems(config, key, size)
        assert line.startswith(
            f"{key}={size}: does not divide the 8 GPUs of a node (trainer.n_gpus_per_node=8) and the "
        )
        assert line.endswith("28 heads of runs/warm_start-qwen2_5_vl_7b, 4 of keys and values; take one of 1, 2, 4")
    assert any(line.startswith(f"{key}=3: ") for line in training_problems(changed(config, key, 3), files=False))


def test_weights_that_vllm_would_make_up_leave_new_versions_blind(config, monkeypatch):
    for version, blind in (("0.24.0", False), ("0.28.1", False), ("0.29.0+cpu", True), ("0.30.1", True), (None, True)):
        monkeypatch.setattr(vllm_problems, "_vllm", lambda version=version: version and Version(version))
        found = problems(config, f"{ROLLOUT}.load_format", "dummy")
        assert bool(found) is blind, version
        assert all(f"{ROLLOUT}.load_format=dummy: vLLM " in line and "set it to auto" in line for line in found)
        assert problems(config, f"{ROLLOUT}.load_format", "safetensors") == []


def test_as_many_tokens_as_the_model_has_positions(checkpoint, tmp_path):
    """The tiny model has 512: what verl's vLLM server refuses when the warm start is made and Ray runs."""
    model = shutil.copytree(checkpoint, tmp_path / "model")
    settings = json.loads((model / "config.json").read_text())
    settings["text_config"]["max_position_embeddings"] = 512
    (model / "config.json").write_text(json.dumps(settings))
    for scale in ("gpus_1", "gpus_4", "nodes_2"):
        config = load_config(["backbone=tiny", "dataset=miniature", f"scale={scale}", f"stages.warm_start={model}"])
        assert list(policy_problems(config)) == []
    (line,) = problems(config, f"{ROLLOUT}.max_model_len", 9216)
    assert line == (
        f"{ROLLOUT}.max_model_len=9216: {model} has positions for 512 tokens, and vLLM refuses more; lower it"
    )
    (line,) = problems(config, "data.max_prompt_length", 480)
    assert line.startswith("data.max_prompt_length + data.max_response_length=536: ")


def test_a_judge_is_split_by_its_heads_where_its_model_is_here(tmp_path):
    (tmp_path / "config.json").write_text(
        json.dumps({"text_config": {"num_attention_heads": 32, "num_key_value_heads": 4}})
    )
    server = "fgrpo.reward_servers.qwen3_vl_30b"
    settings = read_settings(load_config([*GROUPS, f"{server}.model={tmp_path}", f"{server}.tensor_parallel_size=3"]))
    (line,) = judge_server_problems(settings)
    assert line.startswith(
        f"{server}.tensor_parallel_size=3: does not divide the 32 heads of {tmp_path}, 4 of keys and"
    )
    assert line.endswith("; take one of 1, 2, 4, 8, 16, 32")
    assert list(judge_server_problems(read_settings(load_config(GROUPS)))) == []
