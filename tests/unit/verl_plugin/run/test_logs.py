import os
import subprocess
import sys
from shutil import disk_usage
from types import SimpleNamespace

import pytest

from easyr1_fgrpo import failure
from easyr1_fgrpo.verl_plugin.run.logs import cause_of, logged_to

from .remote import RemoteError


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
    assert cause_of(error, tmp_path / "train.log") == line


def test_a_full_disk_is_said_whatever_failed_on_it(tmp_path, monkeypatch):
    torchs = RemoteError(RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 1946560 vs 1946448"))
    full = SimpleNamespace(free=0)
    monkeypatch.setattr(failure, "disk_usage", lambda folder: full if folder == tmp_path else disk_usage(folder))
    told = cause_of(torchs, tmp_path / "train.log")
    assert told == f"the disk of {tmp_path} is full ({torchs.cause})"


def test_a_step_without_rollouts_is_explained_by_their_last_error(tmp_path):
    log = tmp_path / "train.log"
    log.write_text(
        "\x1b[36m(AgentLoopWorkerTQ pid=7)\x1b[0m ERROR: Error in _run_prompt for uid=1-3\n"
        "\x1b[36m(AgentLoopWorkerTQ pid=7)\x1b[0m   File ...\n"
        "\x1b[36m(AgentLoopWorkerTQ pid=7)\x1b[0m ValueError: a prompt has 40 tokens\n"
    )
    verls = RuntimeError("Sync replay buffer selected terminal groups with no materializable trajectories. Enable x")
    assert (
        cause_of(verls, log) == "every rollout of a step failed, the last one with ValueError: a prompt has 40 tokens"
    )


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
        with logged_to(log) as terminal:
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
