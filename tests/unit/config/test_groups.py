# The user's own groups, and constraints on custom signals.
from pathlib import Path

import pytest

from easyr1_fgrpo.config.groups import unknown_keys
from easyr1_fgrpo.config.load import ConfigError, load_config, read_settings
from easyr1_fgrpo.config.schema import CONSTRAINABLE, FgrpoConfig

SHORT = "{signal: 'short.py:short', threshold: 0.9}"


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Writes a group's file below the user's folder."""
    monkeypatch.setenv("FGRPO_CONFIG_DIR", str(tmp_path))

    def write(name: str, text: str) -> Path:
        path = tmp_path / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    return write


def settings(*overrides: str) -> FgrpoConfig:
    return read_settings(load_config(overrides))


def problems(*overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        settings(*overrides)
    return refused.value.lines


def test_a_file_acts_with_hydras_header_and_without(groups):
    for header in ("", "# @package _global_\n"):
        groups("arm/mine", f"{header}fgrpo:\n  constraints:\n    short: {SHORT}\n")
        config = load_config(["arm=mine"])
        assert read_settings(config).constraint_keys == [*CONSTRAINABLE, "short"]
        assert (config.arm, config.trainer.experiment_name) == ("mine", "mine_tiny_cpu")


def test_a_file_builds_on_a_group_of_ours(groups):
    groups("arm/mine", f"defaults: [consistency_only]\nfgrpo: {{constraints: {{short: {SHORT}}}}}\n")
    groups("backbone/small", "defaults: [qwen2_5_vl_3b]\nmodel_shape: {layers: 2}\n")
    config = load_config(["arm=mine", "backbone=small", "dataset=fgrpo"])
    assert config.fgrpo.constraint_keys == ["consistency", "short"]
    assert config.trainer.experiment_name == "mine_qwen2_5_vl_3b"
    assert config.model_shape.layers == 2


def test_a_constraint_with_a_signal_acts():
    given = "fgrpo.constraints.short={signal:short.py:short,threshold:0.9}"
    whole = settings(given)
    assert (whole.constraint_keys, whole.signals) == ([*CONSTRAINABLE, "short"], {"short": "short.py:short"})
    assert settings("arm=grpo_t", given).constraint_keys == ["short"]
    assert settings(given, "fgrpo.constraint_keys=[short]").constraint_keys == ["short"]
    keys = "fgrpo.constraints.short.signal=short.py:short", "fgrpo.constraints.short.threshold=0.9"
    assert settings(*keys) == whole
    assert problems(keys[0]) == [
        "fgrpo.constraints.short.threshold: Field required; signals of ours are consistency, spatial_grounding, "
        "semantic_grounding, and one of your own wants it, too"
    ]
    assert problems(*keys, "fgrpo.signals.short=long.py:long") == [
        "fgrpo.constraints.short.signal=short.py:short: fgrpo.signals.short is long.py:long; drop one"
    ]


def test_a_key_that_nothing_reads_is_refused(groups):
    known = load_config([])
    for text, key, hint in (
        (f"constraints: {{short: {SHORT}}}", "constraints", " (did you mean fgrpo.constraints?)"),
        ("trainer: {total_epoch: 1}", "trainer.total_epoch", " (did you mean trainer.total_epochs?)"),
        ("trainer: {v1: {sampler: {zzz: 1}}}", "trainer.v1.sampler.zzz", ""),
        ("seed: {a: 1}", "seed", ""),
    ):
        path = groups("arm/mine", text)
        (problem,) = unknown_keys(path, known)
        assert problem.startswith(f"{path}: {key}: no such key{hint}; "), text
    for text in (
        "actor_rollout_ref: {rollout: {engine_kwargs: {vllm: {seed: 1}}}}",  # an empty section is open
        "gpu_memory_gib: 40",  # a key of another of our groups
        "fgrpo: {constraint: {}}",  # the schema's to refuse
    ):
        assert list(unknown_keys(groups("arm/mine", text), known)) == [], text
    assert problems("arm=mine")[0].startswith("fgrpo.constraint: unknown key, allowed: ")
    path = groups("arm/mine", "arm: {fgrpo: {constraint_keys: []}}")
    assert problems("arm=mine") == [f"{path}: arm: an arm has its file's name; drop this line, or rename the file"]


def test_every_choice_that_is_offered_is_one():
    (said,) = problems("scale=gpus_3")
    assert said.endswith("there are cpu, gpus_1, gpus_4, gpus_8, nodes_2")


def test_a_file_that_is_none_is_one_line(groups):
    path = groups("arm/grpo_t", "fgrpo: {}")
    assert problems("arm=grpo_t") == [f"{path}: arm=grpo_t is a group of this project; give the file another name"]
    path = groups("arm/mine", "fgrpo: [")
    assert str(path) in problems("arm=mine")[0]
    groups("arm/mine", "- fgrpo")
    assert "arm/mine" in problems("arm=mine")[0]
    groups("arm/mine", "")
    assert settings("arm=mine", "fgrpo.run_dir=runs/a") == settings("fgrpo.run_dir=runs/a")
