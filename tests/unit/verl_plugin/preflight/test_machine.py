"""What is missing of the GPU stack is named before any stage, with the command that installs it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from rich.console import Console

from easyr1_fgrpo.config.load import load_config, read_settings
from easyr1_fgrpo.verl_plugin.preflight import doctor
from easyr1_fgrpo.verl_plugin.preflight import machine as checks
from easyr1_fgrpo.verl_plugin.preflight.machine import PACKAGES, WHEELS, machine_problems

ROOT = Path(__file__).parents[4]
GROUPS = ["backbone=qwen2_5_vl_7b", "dataset=fgrpo", "judge=qwen3_vl_30b", "scale=gpus_4"]
ATTENTION = "actor_rollout_ref.model.override_config.attn_implementation"


@pytest.fixture
def without_packages(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in PACKAGES else found(name))


def problems(*overrides):
    config = load_config([*GROUPS, *overrides])
    return machine_problems(config, read_settings(config))


def test_packages_that_the_config_wants_are_named_with_the_command(machine, monkeypatch, without_packages):
    machine(8)
    monkeypatch.setattr(checks, "cpu_build", lambda: None)
    vllm, flash = problems()
    assert vllm == (
        "actor_rollout_ref.rollout.name=vllm: vllm is not installed: "
        "pip install --no-build-isolation 'easyr1-fgrpo[gpu]'"
    )
    assert flash.startswith(f"{ATTENTION}=flash_attention_2: flash_attn is not installed: pip install ")
    assert "compiles for up to an hour" in flash
    assert WHEELS in flash
    assert problems(f"+{ATTENTION}=sdpa") == [vllm]
    assert problems(f"+{ATTENTION}=sdpa", "actor_rollout_ref.rollout.name=hf") == []
    assert problems("scale=cpu") == []


def test_a_torch_for_the_cpu_is_named_where_there_are_gpus(machine):
    machine(8)
    assert "finds no CUDA, though nvidia-smi lists GPUs" in problems()[0]


def test_the_doctor_looks_where_there_is_a_gpu(machine, monkeypatch, without_packages, capsys):
    monkeypatch.delenv("VERL_PLATFORM", raising=False)
    assert doctor._gpu_problems(Console()) == []
    assert "not checked here" in capsys.readouterr().out
    machine(1)
    monkeypatch.setattr(checks, "cpu_build", lambda: None)
    monkeypatch.setattr(doctor, "cpu_build", lambda: None)
    assert doctor._gpu_problems(Console()) == list(PACKAGES.values())


def test_flash_attn_is_the_one_that_verl_pins():
    pins = {line.partition(";")[0].strip() for line in importlib.metadata.requires("verl") if "flash-attn==" in line}
    (pin,) = pins
    assert f"--no-build-isolation {pin} " in PACKAGES["flash_attn"]
    assert pin in (ROOT / "recipes/warm_start/requirements.txt").read_text().splitlines()


def test_the_extra_gpu_brings_what_verl_needs_for_fsdp_and_vllm():
    wanted = [Requirement(line) for line in importlib.metadata.requires("easyr1-fgrpo")]
    extras = {frozenset(item.extras) for item in wanted if item.name == "verl" and 'extra == "gpu"' in str(item.marker)}
    assert extras == {frozenset({"vllm", "fsdp"})}
    text = (ROOT / "recipes/run_warm_start_llamafactory.sh").read_text()
    assert WHEELS in text
    assert "--quiet --no-build-isolation" not in text
