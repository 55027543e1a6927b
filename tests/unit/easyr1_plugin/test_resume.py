"""A run on EasyR1 goes on from a whole checkpoint and as what it was begun as, or says in a line what is not."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from omegaconf import OmegaConf

from easyr1_fgrpo.checkpoints import MARKER, STATE_FILE, CheckpointError, step_folder, write_manifest
from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.easyr1_plugin.resume import KEYS, TRACKER, resume_problems, saved_run, saved_step
from easyr1_fgrpo.preflight.resume import changes, note_start

from .made_config import config_of

CHECKPOINTS = Path("run/checkpoints")


def written(*changes, **ours):
    """As config.yaml of a run has it."""
    config = config_of(*changes, **({"run_dir": "run"} | ours))
    if config.trainer.save_checkpoint_path is None:
        config.trainer.save_checkpoint_path = str(CHECKPOINTS)
    config.fgrpo = FgrpoConfig.model_validate(OmegaConf.to_container(config.fgrpo)).model_dump(mode="json")
    return config


def save(step, ranks=2, checkpoints=CHECKPOINTS):
    """A whole checkpoint as EasyR1 and we write it, its tensors tiny."""
    folder = step_folder(checkpoints, step)
    (folder / "actor").mkdir(parents=True)
    for name in ("model", "optim", "extra_state"):
        for rank in range(ranks):
            torch.save({"a": torch.zeros(9)}, folder / "actor" / f"{name}_world_size_{ranks}_rank_{rank}.pt")
    torch.save({}, folder / "dataloader.pt")
    (folder / STATE_FILE).write_text(json.dumps({"multipliers": {}}))
    write_manifest(folder)
    tracked = {"best_global_step": None, "best_val_reward_score": -1.0, "last_global_step": step}
    (checkpoints / TRACKER).write_text(json.dumps(tracked, indent=2))
    (checkpoints / MARKER).write_text(str(step))
    return folder


@pytest.fixture(autouse=True)
def newest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("rows.parquet").write_bytes(b"rows" * 1000)
    save(4)
    newest = save(6)
    note_start(written(), 4, KEYS)
    return newest


def problem(*changes, **ours):
    (line,) = resume_problems(written(*changes, **ours))
    assert "\n" not in line
    return line


def test_the_same_run_goes_on_with_other_speed_and_place():
    assert saved_step(written()) == 6
    free = (
        *(("trainer.max_steps", 50), ("trainer.logger", ["console"]), ("trainer.save_freq", 1)),
        *(("worker.actor.micro_batch_size_per_device_for_update", 2), ("worker.rollout.gpu_memory_utilization", 0.5)),
    )
    assert resume_problems(written(*free)) == []


def test_what_makes_the_run_is_refused_with_old_and_new_value_until_it_is_accepted():
    changed = {
        "worker.actor.optim.lr": 0.5,
        "worker.rollout.temperature": 0.5,
        "algorithm.kl_coef": 0.5,
        "data.seed": 7,
        "worker.actor.model.lora.rank": 8,
        "data.train_files": "rows.parquet",
    }
    for key, new in changed.items():
        old = OmegaConf.select(written(), key)
        line = problem((key, new))
        assert line.startswith(f"{key}={new}: run was trained up to step 6 with {old}; give it that, take another "), (
            line
        )
        assert line.endswith(f"'fgrpo.resume.accept=[{key}]'")
        assert resume_problems(written((key, new), resume={"accept": [key]})) == []
    key = "fgrpo.constraints.consistency.threshold"
    assert problem(constraints={"consistency": {"threshold": 0.5}}).startswith(
        f"{key}=0.5: run was trained up to step 6"
    )
    erring = {"consistency": {"threshold": 0.95, "judge_error": {"false_negative": 0.1, "false_positive": 0.05}}}
    assert resume_problems(written(constraints={"consistency": {"threshold": 0.95, "judge_error": None}})) == []
    assert len(resume_problems(written(constraints=erring))) == 2
    assert problem(resume={"accept": ["trainer.max_steps"]}).startswith(
        "fgrpo.resume.accept=trainer.max_steps: names no"
    )


def test_a_file_with_another_content_is_another():
    own = ("data.train_files", str(Path("rows.parquet").absolute()))
    note_start(written(own), 6, KEYS)
    assert resume_problems(written(own)) == []
    Path("rows.parquet").write_bytes(b"else" * 1000)
    assert problem(own).startswith(f"data.train_files={own[1]} (")
    assert set(changes(written(own), KEYS)) == {"data.train_files"}


def test_numbers_are_kept_as_they_are(monkeypatch):
    """EasyR1 rounds what yaml's common dumper writes."""
    rounded = lambda dumper, number: dumper.represent_scalar("tag:yaml.org,2002:float", str(round(number, 3)))  # noqa: E731
    monkeypatch.setitem(yaml.Dumper.yaml_representers, float, rounded)
    precise = ("worker.actor.optim.lr", 0.0006)
    note_start(written(precise), 6, KEYS)
    assert OmegaConf.load("run/config.yaml").worker.actor.optim.lr == 0.0006
    assert resume_problems(written(precise)) == []


def test_what_is_lost_is_named_with_the_way_out(newest):
    way_out = ". Go on from the last whole one: the same command with fgrpo.resume.from=global_step_4"
    for name, said in (
        ("actor/optim_world_size_2_rank_1.pt", "is missing"),
        ("dataloader.pt", "is missing"),
        ("fgrpo.json", "is missing: this checkpoint was not written by a trainer of FGRPO"),
    ):
        path = newest / name
        before = path.read_bytes()
        path.unlink()
        assert problem() == f"{path} {said}{way_out}"
        path.write_bytes(before[: len(before) // 2])
        assert problem().startswith(f"{path} is no whole file")
        path.write_bytes(before)
    assert "written by another number of ranks than this run's 1" in problem(("trainer.n_gpus_per_node", 1))
    shutil.rmtree(newest)
    assert problem() == f"{newest}: no such checkpoint{way_out}"


@pytest.mark.parametrize("torn", ["", "{", '{"last_global_step":', '{"last_global_step": null}', "6", "[]"])
def test_a_torn_tracker_is_named_and_going_back_mends_it(torn, newest):
    tracker = CHECKPOINTS / TRACKER
    tracker.write_text(torn)
    way_out = "Go on from the last whole one: the same command with fgrpo.resume.from=global_step_6"
    assert problem() == f"{tracker} names no step: it was cut off or overwritten. {way_out}"
    back = written(resume={"from": "global_step_6"})
    assert resume_problems(back) == []
    saved_run(back).go_back()
    assert (saved_step(back), saved_step(written())) == (6, 6)
    assert (CHECKPOINTS / MARKER).read_text() == "6"
    tracker.unlink()
    assert problem().startswith(f"{tracker} is missing beside checkpoints of steps 4, 6. {way_out}")


def test_a_run_goes_back_once():
    back = written(resume={"from": "global_step_4"})
    assert saved_step(back) == 4
    saved_run(back).go_back()
    assert json.loads((CHECKPOINTS / TRACKER).read_text())["last_global_step"] == 4
    save(8)
    assert saved_step(back) == 8


def test_another_runs_checkpoint_is_begun_from_once():
    other = str(save(3, checkpoints=Path("other/checkpoints")))
    line = problem(("trainer.load_checkpoint_path", other))
    assert line.startswith(
        f"trainer.load_checkpoint_path={other}: EasyR1 would begin there at each start, and run/check"
    )
    shutil.rmtree(CHECKPOINTS)
    assert saved_step(written(("trainer.load_checkpoint_path", other))) == 3
    shutil.rmtree(f"{other}/actor")
    with pytest.raises(
        CheckpointError, match=r"model_world_size_2_rank_0\.pt is missing.*; give RUN/checkpoints/global"
    ):
        saved_step(written(("trainer.load_checkpoint_path", other)))
    (line,) = resume_problems(written(resume={"from": "global_step_4"}))
    assert line.endswith("no such checkpoint, nor any other: leave fgrpo.resume.from out to start anew")


def test_a_run_that_starts_anew_does_not_mix_with_another():
    assert problem(("trainer.find_last_checkpoint", False)).startswith(
        "trainer.find_last_checkpoint=false: run/checkpoi"
    )
    shutil.rmtree(CHECKPOINTS)
    assert saved_step(written(("trainer.find_last_checkpoint", False))) is None
    assert saved_step(written()) is None
