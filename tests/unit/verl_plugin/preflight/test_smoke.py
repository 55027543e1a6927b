"""The stages of recipes/gpu_smoke.sh, as far as they run on a CPU, and how each ends when something is wrong."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from easyr1_fgrpo.config.load import load_config
from easyr1_fgrpo.metrics_file import MetricsFile
from easyr1_fgrpo.miniature.build import build
from easyr1_fgrpo.training.canary import MAX, MEAN
from easyr1_fgrpo.verl_plugin.preflight import attention, smoke
from easyr1_fgrpo.verl_plugin.preflight import machine as checks
from easyr1_fgrpo.verl_plugin.preflight.attention import REFERENCE, ROWS, Way, differences

ROOT = Path(__file__).parents[4]
STEP = {smoke.SECONDS: 2.5, smoke.PEAK: 1.25, MEAN: 0.002, MAX: 0.3}


@pytest.fixture(scope="module")
def traces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("attention")
    build(folder / "world", seed=0, train=1, val=1, test=1, sft=ROWS, sft_val=1)
    return folder


@pytest.fixture
def overrides(traces, checkpoint, tmp_path):
    return [f"stages.dir={traces}", f"actor_rollout_ref.model.path={checkpoint}", f"fgrpo.run_dir={tmp_path}/run"]


@pytest.fixture
def broken(monkeypatch):
    """An attention whose rows see what comes after them."""

    def forward(module, query, key, value, attention_mask, **more):
        return sdpa_attention_forward(module, query, key, value, None, **{**more, "is_causal": False})

    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS._global_mapping, "broken", forward)
    monkeypatch.setitem(attention.WAYS, "cpu", (Way("eager"), Way("broken")))


def test_attention_that_differs_by_more_than_rounding_is_found(overrides, broken):
    right, wrong = differences(load_config(overrides))
    assert (right[0], wrong[0]) == (Way("eager"), Way("broken"))
    assert 0 < right[1] < right[2] < 1e-4
    assert attention.BOUND < wrong[1] < wrong[2]


def test_traces_are_of_many_lengths_and_no_token_behind_an_end_counts(overrides):
    config = load_config(overrides)
    with attention._alone("cpu"):
        found = attention.log_probs(config, REFERENCE)
    from easyr1_fgrpo.generation.processor import load_processor

    processor = load_processor(str(config.actor_rollout_ref.model.path))

    class Model:
        tokenizer = processor.tokenizer

    Model.processor = processor
    lengths = [len(row["input_ids"]) for row in attention._rows(config, Model)]
    assert len(set(lengths)) > ROWS // 2
    assert len(found) == sum(lengths) - ROWS
    assert (found < 0).all()


def test_the_stage_says_what_it_compared_and_what_to_type(monkeypatch, capfd, overrides, tmp_path):
    def found(config):
        os.write(1, b"noise of verl\n")
        yield Way("flash_attention_2"), 0.01, 0.2
        yield Way("flash_attention_2", packed=True), means.pop(), 2.0

    monkeypatch.setattr(attention, "differences", found)
    means = [float("nan"), 0.43, 0.012]
    assert smoke.attention(overrides) == 0
    first, second = capfd.readouterr().out.splitlines()[-2:]
    assert first.startswith(
        "attention: flash_attention_2, padded: log-probs differ from those of sdpa, padded by 0.01 in"
    )
    assert second.startswith("attention: flash_attention_2, packed: ")
    assert "noise of verl" in (tmp_path / "run/smoke.log").read_text()
    while means:
        assert smoke.attention(overrides) == 1
        line = capfd.readouterr().err.splitlines()[-1]
        assert line.startswith("error: attention: flash_attention_2, packed: ")
        assert line.endswith("--force-reinstall --no-deps flash-attn==2.8.3")


def test_a_kernel_that_cannot_run_is_named(monkeypatch, capfd, overrides):
    monkeypatch.setitem(attention.WAYS, "cpu", (Way("flash_attention_2"),))
    assert smoke.attention(overrides) == 1
    line = capfd.readouterr().err.splitlines()[-1]
    assert line.startswith("error: attention: ImportError: ")
    assert "flash" in line


def test_the_packages_are_listed_and_a_wrong_override_is_refused(capsys):
    assert smoke.machine(["scale=cpu"]) == 0
    card, packages = capsys.readouterr().out.splitlines()[-2:]
    assert card == "device: the CPU"
    assert packages.startswith("packages: torch 2.")
    assert "vllm not installed, flash-attn not installed; registered with verl" in packages
    for stage in (smoke.machine, smoke.attention, smoke.report):
        assert stage(["fgrpo.dual.lr=-1"]) == 1
        assert "error: fgrpo.dual.lr=-1" in capsys.readouterr().err


def test_no_gpu_is_the_first_line(machine, capsys):
    machine(0)
    assert smoke.machine(["scale=gpus_1"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: no GPU: nvidia-smi lists none here")
    machine(1)
    assert smoke.machine(["scale=gpus_1"]) == 1
    assert "finds no CUDA, though nvidia-smi lists GPUs" in capsys.readouterr().err
    machine(0)
    done = subprocess.run(["bash", ROOT / "recipes/gpu_smoke.sh"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: no GPU: nvidia-smi lists none here")


def test_the_report_ends_with_the_verdict(capsys, monkeypatch, tmp_path):
    metrics = MetricsFile(tmp_path / "metrics.jsonl")
    for step in range(1, 4):
        metrics.write(step, {**STEP, smoke.SECONDS: 10.0 / step})
    run = [f"fgrpo.run_dir={tmp_path}"]
    assert smoke.report([*run, "scale=cpu"]) == 0
    steps, canary, verdict = capsys.readouterr().out.splitlines()
    assert steps == "steps: 10.0, 5.0, 3.3 s on the CPU; the trainer held 1.2 GiB at most"
    assert canary == (
        "canary: token probabilities in transformers_cpu and in the trainer differ by 0.002 in the mean, at most 0.3; "
        "a mean above 0.05 would have stopped the run"
    )
    assert verdict == "CPU path: ok; no GPU was used"

    monkeypatch.setattr(smoke, "_card", lambda config: "NVIDIA H100 80GB HBM3, 79 GiB")
    monkeypatch.setattr(smoke, "missing_packages", lambda *modules: [])
    assert smoke.report([*run, "scale=gpus_1"]) == 0
    steps, _, verdict = capsys.readouterr().out.splitlines()
    assert steps.endswith("on NVIDIA H100 80GB HBM3, 79 GiB; the trainer held 1.2 GiB at most, vLLM 30% of the GPU")
    assert verdict == "GPU path: ok"
    monkeypatch.setattr(smoke, "missing_packages", lambda *modules: [checks.PACKAGES["flash_attn"]])
    assert smoke.report([*run, "scale=gpus_1"]) == 1
    said = capsys.readouterr()
    assert "path: ok" not in said.out
    assert said.err.startswith("error: flash_attn is not installed: pip install ")
