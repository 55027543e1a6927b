import json
import os
import subprocess
import sys

import pytest
from omegaconf import OmegaConf

from easyr1_fgrpo.training.metrics_file import MetricsFile
from easyr1_fgrpo.verl_plugin.run import launch
from easyr1_fgrpo.verl_plugin.run.launch import _cause, _logged, summary, train


def config_of(run_dir, total=10):
    return OmegaConf.create(
        {
            "trainer": {"default_local_dir": str(run_dir / "checkpoints"), "total_training_steps": total},
            "fgrpo": {"run_dir": str(run_dir)},
        }
    )


def mark_finished(run_dir, step):
    (run_dir / "checkpoints").mkdir()
    (run_dir / "checkpoints" / "latest_checkpointed_iteration.txt").write_text(str(step))


def test_summary_shows_task_score_and_multiplier():
    metrics = {
        "fgrpo/signals/task/mean": 0.854,
        "fgrpo/consistency/threshold": 0.95,
        "fgrpo/consistency/score": 0.9,
        "fgrpo/consistency/multiplier": 1.25,
        "fgrpo/spatial_grounding/threshold": 0.65,  # without a score in this step
        "fgrpo/spatial_grounding/multiplier": 1.0,
        "actor/lr": 1.0,
    }
    assert summary(metrics) == "task 0.85, consistency 0.90 λ1.25, spatial_grounding – λ1.00"
    assert summary({"actor/lr": 1.0}) == ""


class RemoteError(RuntimeError):
    """As Ray wraps an exception: its text is a traceback, the original is its cause."""

    def __init__(self, cause):
        super().__init__("ray::TaskRunner.run()\n  File ...")
        self.cause = cause


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("too bad"), "too bad"),
        (RemoteError(ValueError("step 3: 9 of 10 rollouts failed")), "step 3: 9 of 10 rollouts failed"),
        (RemoteError(RemoteError(ValueError("traceback\nthe reason"))), "the reason"),
        (AssertionError(), "AssertionError"),
    ],
)
def test_the_innermost_reason_in_one_line(error, line, tmp_path):
    assert _cause(error, tmp_path / "train.log") == line


def test_a_step_without_rollouts_is_explained_by_their_last_error(tmp_path):
    log = tmp_path / "train.log"
    log.write_text(
        "\x1b[36m(AgentLoopWorkerTQ pid=7)\x1b[0m ERROR: Error in _run_prompt for uid=1-3\n"
        "\x1b[36m(AgentLoopWorkerTQ pid=7)\x1b[0m   File ...\n"
        "\x1b[36m(AgentLoopWorkerTQ pid=7)\x1b[0m ValueError: a prompt has 40 tokens\n"
    )
    verls = RuntimeError("Sync replay buffer selected terminal groups with no materializable trajectories. Enable x")
    assert _cause(verls, log) == "every rollout of a step failed, the last one with ValueError: a prompt has 40 tokens"


def speak(text):
    """On file descriptor 1, and from a child process on both: that is how Ray's lines arrive."""
    os.write(1, f"{text}\n".encode())
    child = f"import os; os.write(1, b'child of {text}\\n'); os.write(2, b'error of {text}\\n')"
    subprocess.run([sys.executable, "-S", "-c", child], check=True)


@pytest.mark.parametrize("failing", [False, True])
def test_output_goes_to_the_log_and_comes_back(tmp_path, capfd, failing):
    log = tmp_path / "train.log"
    log.write_text("earlier run\n")
    descriptors = set(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else None
    try:
        with _logged(log) as terminal:
            speak("inside")
            print("on the terminal", file=terminal)
            if failing:
                raise KeyError
    except KeyError:
        assert failing
    speak("after")
    assert log.read_text() == "earlier run\ninside\nchild of inside\nerror of inside\n"
    assert capfd.readouterr() == ("after\nchild of after\n", "on the terminal\nerror of after\n")
    if descriptors is not None:
        assert set(os.listdir("/proc/self/fd")) == descriptors


def test_a_finished_run_starts_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(launch, "_run", lambda config: pytest.fail("started"))
    mark_finished(tmp_path, 10)
    assert train(config_of(tmp_path)) == 0
    assert "all 10 steps are done; raise trainer.total_training_steps" in capsys.readouterr().out


def test_a_run_resumes_and_shows_its_progress(tmp_path, monkeypatch, capfd):
    def run(config):
        metrics = {"fgrpo/signals/task/mean": 0.5}
        for step in (5, 6):
            MetricsFile(tmp_path / "metrics.jsonl").write(step, metrics)

    monkeypatch.setattr(launch, "_run", run)
    mark_finished(tmp_path, 4)
    assert train(config_of(tmp_path, total=6)) == 0
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
    assert train(config_of(tmp_path)) == 0
    ours = OmegaConf.select(seen[0], "ray_kwargs.ray_init.runtime_env.env_vars.TENSORBOARD_DIR")
    assert ours == (None if named else str(tmp_path / "tensorboard"))


def test_a_failing_run_says_why_and_exits_with_one(tmp_path, monkeypatch, capfd):
    def run(config):
        raise RemoteError(ValueError("step 1: 16 of 16 rollouts failed"))

    monkeypatch.setattr(launch, "_run", run)
    assert train(config_of(tmp_path)) == 1
    shown = capfd.readouterr().err
    assert f"error: step 1: 16 of 16 rollouts failed (see {tmp_path / 'train.log'})" in shown
    assert "Traceback" not in shown
