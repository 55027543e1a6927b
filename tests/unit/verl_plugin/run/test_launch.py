import json
import signal

import pytest
from omegaconf import OmegaConf

from easyr1_fgrpo.metrics_file import MetricsFile
from easyr1_fgrpo.stopping import stoppable
from easyr1_fgrpo.training.unmeasured import ConstraintUnmeasuredError
from easyr1_fgrpo.verl_plugin.run import launch
from easyr1_fgrpo.verl_plugin.run.launch import train

from .remote import RemoteError


def config_of(run_dir, total=10):
    return OmegaConf.create(
        {
            "trainer": {"default_local_dir": str(run_dir / "checkpoints"), "total_training_steps": total},
            "fgrpo": {"run_dir": str(run_dir)},
        }
    )


def test_a_run_resumes_and_shows_its_progress(tmp_path, monkeypatch, capfd):
    def run(config):
        metrics = {"fgrpo/signals/task/mean": 0.5}
        for step in (5, 6):
            MetricsFile(tmp_path / "metrics.jsonl").write(step, metrics)

    monkeypatch.setattr(launch, "_run", run)
    assert train(config_of(tmp_path, total=6), done=4) == 0
    shown = capfd.readouterr()
    assert "resuming after step 4" in shown.out
    assert "6/6" in shown.err
    assert "task 0.50" in shown.err


@pytest.mark.parametrize("named", [True, False])
def test_a_variable_of_the_ray_job_is_not_set_twice(tmp_path, monkeypatch, named):
    """Ray refuses to merge a job's environment and ours when both name a variable."""
    job = {"runtime_env": {"env_vars": {"TENSORBOARD_DIR": "theirs"} if named else {}}}
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", json.dumps(job))
    seen = []
    monkeypatch.setattr(launch, "_run", seen.append)
    assert train(config_of(tmp_path), done=0) == 0
    ours = OmegaConf.select(seen[0], "ray_kwargs.ray_init.runtime_env.env_vars.TENSORBOARD_DIR")
    assert ours == (None if named else str(tmp_path / "tensorboard"))


@pytest.mark.parametrize("theirs", [None, "python -X dev"])
def test_workers_are_started_as_told_where_the_config_does_not_say(tmp_path, monkeypatch, theirs):
    config = config_of(tmp_path)
    config.ray_kwargs = {"ray_init": {"runtime_env": {"py_executable": theirs}}}  # verl's default names it, as null
    seen = []
    monkeypatch.setattr(launch, "_run", seen.append)
    assert train(config, done=0, py_executable="python fork_client.py") == 0
    assert seen[0].ray_kwargs.ray_init.runtime_env.py_executable == (theirs or "python fork_client.py")


def test_a_run_whose_judge_is_gone_exits_with_four(tmp_path, monkeypatch, capfd):
    def run(config):
        raise RemoteError(RemoteError(ConstraintUnmeasuredError("step 9: consistency was not measured")))

    monkeypatch.setattr(launch, "_run", run)
    assert train(config_of(tmp_path), done=0) == 4
    assert "\nerror: step 9: consistency was not measured (see " in capfd.readouterr().err


def test_a_failing_run_says_why_and_exits_with_one(tmp_path, monkeypatch, capfd):
    def run(config):
        raise RemoteError(ValueError("step 1: 16 of 16 rollouts failed"))

    monkeypatch.setattr(launch, "_run", run)
    assert train(config_of(tmp_path), done=0) == 1
    shown = capfd.readouterr().err
    assert f"error: step 1: 16 of 16 rollouts failed (see {tmp_path / 'train.log'})" in shown
    assert "Traceback" not in shown


def test_a_stopped_run_says_what_it_leaves(tmp_path, monkeypatch, capfd):
    checkpoints = tmp_path / "checkpoints"
    checkpoints.mkdir()
    ends = []

    def run(config):
        MetricsFile(tmp_path / "metrics.jsonl").write(3, {})
        with stoppable():
            try:
                signal.raise_signal(ends[-1])
            except KeyboardInterrupt:
                raise KeyboardInterrupt from None  # as Ray does

    monkeypatch.setattr(launch, "_run", run)
    for number, saved, line in (
        (signal.SIGINT, None, "stopped at step 3, no checkpoint yet: the same command starts anew"),
        (signal.SIGTERM, "2", "stopped at step 3, last checkpoint 2: the same command resumes"),
        (signal.SIGINT, "2", "stopped at step 3, last checkpoint 2: the same command resumes"),
    ):
        if saved:
            (checkpoints / "latest_checkpointed_iteration.txt").write_text(saved)
        ends.append(number)
        assert train(config_of(tmp_path), done=2) == 128 + number
        assert capfd.readouterr().err.endswith(f"\n{line}\n")
