"""Which stages a run needs, by what is there and what it starts from; the stages themselves run in integration/."""

from __future__ import annotations

import json
import signal
from itertools import pairwise
from pathlib import Path

import pytest

from easyr1_fgrpo.config.load import load_config
from easyr1_fgrpo.lock import locked
from easyr1_fgrpo.stopping import stoppable
from easyr1_fgrpo.verl_plugin.run import stages

TINY = ["backbone=tiny", "dataset=miniature", "trainer.resume_mode=disable"]


@pytest.fixture
def called(monkeypatch, tmp_path):
    """Commands that were run; each makes the folder that it was told to make."""
    commands = []

    def run(name, command, env, log=None, most_steps=None):
        commands.append(command)
        folder = next((argument for flag, argument in pairwise(command) if flag == "--out"), None)
        if folder:
            Path(folder).mkdir(parents=True)
            (Path(folder) / "sft_train.parquet").touch()
        else:
            training = next(a.partition("=")[2] for a in command if a.startswith("trainer.default_local_dir="))
            (Path(training) / "global_step_1/huggingface").mkdir(parents=True)

    monkeypatch.setattr(stages, "run_stage", run)
    return commands


def names(commands):
    return [command[4] if command[2:4] == ["easyr1_fgrpo", "miniature"] else "warm_start" for command in commands]


def test_a_fresh_clone_makes_everything_once(called, tmp_path):
    overrides = [*TINY, f"stages.dir={tmp_path}/s", "seed=3"]
    assert stages.main(overrides) == 0
    assert names(called) == ["build", "backbone", "warm_start"]
    budget = json.loads((tmp_path / "s/warm_start/image_budget.json").read_text())
    assert budget == {"min_pixels": 3136, "max_pixels": 7056, "coordinates": "pixels"}
    assert not (tmp_path / "s/warm_start.training").exists()
    assert stages.main(overrides) == 0
    assert len(called) == 3


def test_a_run_and_a_warm_start_that_another_process_has_are_refused(called, tmp_path, capsys):
    # The lock is a file's: another open file of this very process is refused like another process.
    overrides = [*TINY, f"stages.dir={tmp_path}/s", f"fgrpo.run_dir={tmp_path}/run"]
    with locked(tmp_path / "run"):
        assert stages.main(overrides) == 1
    assert called == [], "the recipe goes no further, so the other's judges stay"
    assert f"error: {tmp_path}/run: process" in capsys.readouterr().err
    with locked(tmp_path / "s/warm_start.training"):
        assert stages.main(overrides) == 1
    assert names(called) == ["build", "backbone"]
    assert not (tmp_path / "s/world.making").exists()
    assert "works there; wait for its end, end it, or have another made beside it" in capsys.readouterr().err
    assert stages.main(overrides) == 0


def test_a_stage_that_another_process_makes_is_left_to_it(called, tmp_path, capsys, monkeypatch):
    """Two arms started in one moment on a fresh clone, the second one with another seed."""
    with locked(tmp_path / "s/world.making"):
        assert stages.main([*TINY, f"stages.dir={tmp_path}/s", "seed=7"]) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"error: {tmp_path}/s/world.making: process ")
    assert said.endswith("works there; wait for its end, end it, or have another made beside it: stages.world=ANOTHER")
    assert not (tmp_path / "s/world.made_from.json").exists(), "the other one's note stands"
    # It may end between our look and our lock.
    missing = iter([True, False])
    monkeypatch.setattr(stages, "_missing", lambda *stage: next(missing))
    stages._stage("world", f"{tmp_path}/s/world", {}, lambda: called.append("made"))
    assert called == []
    assert not (tmp_path / "s/world.making").exists()


def test_on_own_rows_the_tiny_backbone_is_made_from_them(called, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(stages, "first_question_problems", lambda config, settings: [])  # the rows are none
    own = ["dataset=own", f"own.train={tmp_path}/train.parquet", f"own.val={tmp_path}/val.parquet"]
    (tmp_path / "train.parquet").touch()
    overrides = ["backbone=tiny", *own, f"stages.dir={tmp_path}/s", f"stages.sft_file={tmp_path}/train.parquet"]
    assert stages.main(overrides) == 0
    made, warm_start = called
    assert made[3:] == [
        *("miniature", "own", f"{tmp_path}/train.parquet", "--out", f"{tmp_path}/s/backbone", "--seed", "0"),
        *("--min-pixels", "7056", "--max-pixels", "12544"),
    ]
    assert "model.override_config.freeze_vision_tower=False" in warm_start
    assert f"from {tmp_path}/train.parquet" in capsys.readouterr().out


def test_the_warm_start_sees_images_as_the_run_does(called, tmp_path):
    stages.main([*TINY, f"stages.dir={tmp_path}/s", "fgrpo.images.max_pixels=9000"])
    assert {"data.image_budget.min_pixels=3136", "data.image_budget.max_pixels=9000"} <= set(called[-1])
    assert "--nproc-per-node=1" in called[-1]


def test_another_model_needs_the_world_alone(called, tmp_path, capsys):
    assert stages.main([*TINY, f"stages.dir={tmp_path}/s", "actor_rollout_ref.model.path=/elsewhere"]) == 0
    assert names(called) == ["build"]
    assert "warm start: none needed, the run starts from /elsewhere" in capsys.readouterr().out


@pytest.fixture
def machine_fits(monkeypatch):
    """A machine with what the run and its warm start ask for."""
    monkeypatch.setattr(stages, "machine_problems", lambda config, settings, **where: [])


def test_a_warm_start_without_traces_is_refused(called, machine_fits, tmp_path, capsys):
    groups = ["backbone=qwen2_5_vl_7b", "dataset=fgrpo", "judge=qwen3_vl_30b", "scale=gpus_4"]
    assert stages.main([*groups, f"stages.sft_file={tmp_path}/none.parquet"]) == 1
    assert called == []
    assert f"error: stages.sft_file={tmp_path}/none.parquet: no such file" in capsys.readouterr().err


def test_a_warm_start_on_the_cpu_says_so_whatever_the_run_trains_on(monkeypatch, tmp_path):
    given = []
    monkeypatch.setattr(
        stages, "run_stage", lambda name, command, env, log=None, most_steps=None: given.append((command, env))
    )
    monkeypatch.setattr(stages, "machine_problems", lambda config, settings, **where: [])
    (tmp_path / "s/backbone").mkdir(parents=True)
    (tmp_path / "sft.parquet").touch()
    assert stages.main([*TINY, "scale=gpus_1", f"stages.dir={tmp_path}/s", f"stages.sft_file={tmp_path}/sft.parquet"])
    command, environment = given[-1]
    assert "easyr1_fgrpo.verl_plugin.run.warm_start" in command
    assert environment["VERL_PLATFORM"] == "cpu"


QWEN3 = ["backbone=qwen3_vl_8b", "dataset=fgrpo", "judge=qwen3_vl_30b", "scale=gpus_8"]


@pytest.mark.parametrize("noted", [{"policy": {"coordinates": "pixels"}}, {"questions": {}}, None])
def test_traces_in_another_convention_than_the_runs_are_refused_before_hours_are_spent(called, tmp_path, capsys, noted):
    (tmp_path / "train.parquet").touch()
    if noted is not None:
        (tmp_path / "summary.json").write_text(json.dumps(noted))
    overrides = [*QWEN3, f"stages.sft_file={tmp_path}/train.parquet", f"stages.warm_start={tmp_path}/warm"]
    assert stages.main(overrides) == 1
    assert called == []
    said = capsys.readouterr().err
    assert "error: fgrpo.images.coordinates=thousand: the traces stages.sft_file=" in said
    assert "write boxes in pixels: make traces with `fgrpo data mcts ... --policy-coordinates thousand`" in said


def test_traces_in_the_runs_convention_are_trained_on_and_the_checkpoint_says_so(
    called, machine_fits, tmp_path, capsys
):
    (tmp_path / "train.parquet").touch()
    (tmp_path / "summary.json").write_text(json.dumps({"policy": {"coordinates": "thousand", "max_pixels": 7}}))
    overrides = [*QWEN3, f"stages.sft_file={tmp_path}/train.parquet", f"stages.warm_start={tmp_path}/warm"]
    assert stages.main(overrides) == 0
    marker = tmp_path / "warm/image_budget.json"
    assert json.loads(marker.read_text()) == {"min_pixels": 65536, "max_pixels": 5478400, "coordinates": "thousand"}
    # Another run from the same checkpoint that would read its boxes as pixels.
    assert stages.main([*overrides, "fgrpo.images.coordinates=pixels"]) == 1
    assert "fgrpo.images.coordinates=pixels: the warm start" in capsys.readouterr().err


def test_traces_for_other_pictures_than_the_runs_are_refused(called, machine_fits, tmp_path, capsys):
    (tmp_path / "train.parquet").touch()
    policy = {"coordinates": "pixels", "min_pixels": 3136, "max_pixels": 1003520}
    (tmp_path / "summary.json").write_text(json.dumps({"policy": policy}))
    groups = ["backbone=qwen2_5_vl_7b", *QWEN3[1:]]
    overrides = [*groups, f"stages.sft_file={tmp_path}/train.parquet", f"stages.warm_start={tmp_path}/warm"]
    assert stages.main(overrides) == 1
    assert "fgrpo.images.max_pixels=4194304: the traces" in capsys.readouterr().err
    assert stages.main([*overrides, "fgrpo.images.max_pixels=1003520"]) == 0


def test_each_backbone_reads_traces_of_its_convention():
    for backbone, folder in (("qwen2_5_vl_7b", "sft"), ("qwen2_5_vl_3b", "sft"), ("qwen3_vl_8b", "sft_thousand")):
        config = load_config([f"backbone={backbone}", *QWEN3[1:]])
        assert config.stages.sft_file == f"data/fgrpo/traces/{folder}/train.parquet"


def test_a_stopped_warm_start_goes_on_with_its_own_settings_alone(called, tmp_path, capsys, monkeypatch):
    def stopped(name, command, env, log=None, most_steps=None):
        training = tmp_path / "s/warm_start.training"
        (training / "latest_checkpointed_iteration.txt").write_text("20")
        with stoppable():
            signal.raise_signal(signal.SIGTERM)

    overrides = [*TINY, f"stages.dir={tmp_path}/s"]
    monkeypatch.setattr(stages, "prepare_data", lambda given: None)
    (tmp_path / "s/backbone").mkdir(parents=True)
    (tmp_path / "s/sft.parquet").touch()
    overrides.append(f"stages.sft_file={tmp_path}/s/sft.parquet")
    with monkeypatch.context() as patch:
        patch.setattr(stages, "run_stage", stopped)
        assert stages.main(overrides) == 143
    assert capsys.readouterr().err == "stopped, last checkpoint of the warm start 20: the same command goes on\n"
    assert stages.main([*overrides, "fgrpo.images.max_pixels=9000"]) == 1
    assert "data.image_budget.max_pixels='7056', now '9000'" in capsys.readouterr().err
    assert called == []
    assert stages.main(overrides) == 0


def test_a_stage_made_from_something_else_is_not_taken_for_the_one_asked_for(called, tmp_path, capsys):
    folder = tmp_path / "s"
    overrides = [*TINY, f"stages.dir={folder}"]
    assert stages.main(overrides) == 0
    for other, said in (
        ("seed=1", f"{folder}/world was begun with other settings (--seed='0', now '1'): remove it, or have another "),
        ("stages.scenes.train=9", "--train='3072', now '9'"),
        ("stages.backbone_steps={see: 1, read: 2}", "stages.backbone=ANOTHER"),
        ("stages.warm_start_steps=7", "trainer.total_training_steps='200', now '7'): remove it, or have another made "),
    ):
        assert stages.main([*overrides, other, "fgrpo.run_dir=runs/x"]) == 1, other
        assert said in capsys.readouterr().err, other
    (folder / "world/sft_train.parquet").write_text("other traces")
    assert stages.main(overrides) == 1
    assert f"{folder}/warm_start was begun with other settings (traces=" in capsys.readouterr().err
    (folder / "warm_start.made_from.json").unlink()
    assert stages.main([*overrides, "stages.warm_start_gpus=1"]) == 0, "one of the user's own says nothing"


def test_a_wrong_override_is_refused_first(called, tmp_path, capsys):
    assert stages.main([*TINY, "fgrpo.dual.lr=-1"]) == 1
    assert called == []
    assert "fgrpo.dual.lr=-1" in capsys.readouterr().err
