"""The warm start, killed in the middle: the same command goes on, to the same weights."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny
from omegaconf import OmegaConf

from easyr1_fgrpo.config.load import load_config
from easyr1_fgrpo.miniature.build import build

pytestmark = pytest.mark.integration

DEADLINE_S = 600
SMALL = ("data.train_batch_size=4", "data.micro_batch_size_per_gpu=4")
STEPS = 30  # of 3 an epoch, each of which is saved


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory):
    """Starts `fgrpo stages` for a folder of the warm start; data and backbone are there."""
    root = tmp_path_factory.mktemp("warm")
    build(root / "world", seed=0, train=1, val=1, test=1, sft=12, sft_val=1)
    tiny.save(root / "backbone")
    given = OmegaConf.to_container(
        load_config(["backbone=tiny", f"stages.warm_start_steps={STEPS}"]).stages, resolve=True
    )
    kept = [setting for setting in given["warm_start_overrides"] if "batch_size" not in setting]

    started: list[subprocess.Popen[bytes]] = []

    def start(out: Path) -> subprocess.Popen[bytes]:
        overrides = [
            f"stages.dir={root}",
            f"stages.warm_start={out}",
            f"stages.warm_start_steps={STEPS}",
            f"stages.warm_start_overrides={[*kept, *SMALL]}",
        ]
        process = subprocess.Popen([sys.executable, "-m", "easyr1_fgrpo", "stages", *overrides], start_new_session=True)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def test_a_killed_warm_start_goes_on_to_the_same_weights(start, tmp_path: Path) -> None:
    assert start(tmp_path / "whole").wait(DEADLINE_S) == 0

    marker = tmp_path / "killed.training/latest_checkpointed_iteration.txt"
    process = start(tmp_path / "killed")
    deadline = time.monotonic() + DEADLINE_S
    while not marker.exists():
        assert process.poll() is None, "ended before its first checkpoint"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed").exists()
    assert 0 < int(marker.read_text()) < STEPS

    assert start(tmp_path / "killed").wait(DEADLINE_S) == 0
    whole, resumed = (tmp_path / name / "model.safetensors" for name in ("whole", "killed"))
    assert whole.read_bytes() == resumed.read_bytes()
