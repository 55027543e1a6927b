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
from easyr1_fgrpo.verl_plugin.run import stages

ROOT = Path(__file__).parents[4]
GROUPS = ["backbone=qwen2_5_vl_7b", "dataset=fgrpo", "judge=qwen3_vl_30b", "scale=gpus_4"]
ATTENTION = "actor_rollout_ref.model.override_config.attn_implementation"


@pytest.fixture
def without_packages(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in PACKAGES else found(name))


def problems(*overrides, **where):
    config = load_config([*GROUPS, *overrides])
    return machine_problems(config, read_settings(config), **where)


def test_packages_that_the_config_wants_are_named_with_the_command(machine, monkeypatch, without_packages):
    machine(8)
    monkeypatch.setattr(checks, "cpu_build", lambda: None)
    vllm, flash = problems(warm_start=False)
    assert vllm == (
        "actor_rollout_ref.rollout.name=vllm: vllm is not installed: "
        "pip install --no-build-isolation 'easyr1-fgrpo[gpu]'"
    )
    assert flash.startswith(f"{ATTENTION}=flash_attention_2: flash_attn is not installed: pip install ")
    assert "compiles for up to an hour" in flash
    assert WHEELS in flash
    for overrides, lacking in (
        ([f"+{ATTENTION}=sdpa"], [vllm]),
        ([f"+{ATTENTION}=sdpa", "actor_rollout_ref.rollout.name=hf"], []),
        (["scale=cpu"], []),
        (["scale=cpu", "actor_rollout_ref.rollout.name=vllm"], [vllm]),
    ):
        assert problems(*overrides, warm_start=False) == lacking, overrides


def test_every_problem_is_named_once_and_hides_none(machine, monkeypatch, without_packages):
    """A torch for the CPU, too few GPUs for the run and for its warm start, and packages that both miss."""
    machine(2)
    run, warm_start, torch, vllm, flash = problems()
    assert run.startswith(
        "trainer.n_gpus_per_node=4: the policy takes 4 GPUs, the judges 2, together 6, and there are 2 "
    )
    assert warm_start.startswith("stages.warm_start_gpus=4: ")
    assert "finds no CUDA, though nvidia-smi lists GPUs" in torch
    assert "vllm is not installed" in vllm
    assert "flash_attn is not installed" in flash

    def nobody():
        raise ConnectionError("no Ray cluster answers there")

    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    monkeypatch.setattr(checks, "offered", nobody)
    assert problems() == ["no Ray cluster answers there", warm_start, torch, vllm, flash]


def test_a_warm_start_takes_gpus_of_this_machine_until_it_is_made(machine, monkeypatch, tmp_path):
    def lacking(*overrides):
        return problems(*overrides, run=False)

    monkeypatch.setattr(checks, "cpu_build", lambda: None)
    monkeypatch.setattr(checks, "missing_packages", lambda *names: [])
    machine(2)
    (few,) = lacking()
    assert few == (
        "stages.warm_start_gpus=4: runs/warm_start-qwen2_5_vl_7b is still to be made, on this machine, which has 2 "
        "GPUs; 2 will do, the batch stays the same"
    )
    assert lacking("stages.warm_start_gpus=2") == []
    assert lacking(f"stages.warm_start={tmp_path}") == []  # made already
    assert lacking("actor_rollout_ref.model.path=Qwen/Qwen2.5-VL-7B-Instruct") == []
    assert lacking("backbone=tiny", "dataset=miniature") == []  # on the CPU
    machine(0)
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")  # whose GPUs are not this machine's
    assert "which has 0 GPUs; make it where there are some" in lacking()[0]


def test_the_stages_alone_ask_for_what_the_warm_start_takes(machine, monkeypatch, without_packages, tmp_path, capsys):
    """recipes/run_warm_start_qwen25vl.sh: neither vLLM nor the GPUs of policy and judge."""
    machine(4)
    monkeypatch.setattr(checks, "cpu_build", lambda: None)
    assert stages.main([*GROUPS, "scale=gpus_8"], alone=True) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("error: the warm start: flash_attn is not installed: pip install ")
    assert stages.main([*GROUPS, "scale=gpus_8"]) == 1
    said = capsys.readouterr().err
    assert "vllm is not installed" in said
    assert "trainer.n_gpus_per_node=8: the policy takes 8 GPUs, the judges 2" in said
    assert "fgrpo stages --alone " in (ROOT / "recipes/run_warm_start_qwen25vl.sh").read_text()


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


def test_places_that_cannot_be_written_are_named_before_anything(machine, tmp_path):
    machine(0)
    (tmp_path / "file").touch()
    for key in ("fgrpo.run_dir", "trainer.default_local_dir", "fgrpo.judge_cache.directory"):
        below = f"{key}={tmp_path}/file/a"
        assert problems("scale=cpu", below, warm_start=False) == [
            f"{below}: {tmp_path}/file is no folder; name another place"
        ]
        assert problems("scale=cpu", below, run=False, warm_start=False) == []
