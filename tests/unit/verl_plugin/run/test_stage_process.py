"""Real processes: what a stage prints goes to its log, and it ends with whoever runs it."""

import os
import signal
import subprocess
import sys
import time

import pytest
from tqdm import tqdm

from easyr1_fgrpo.verl_plugin.run import stage_process
from easyr1_fgrpo.verl_plugin.run.stage_process import StageError, run_stage

NOISY = r"""
import sys, time
print("200 raw lines\n" * 200, flush=True)
print("Epoch 3/5:  40%|####      | 4/10 [00:11<00:17,  2.98s/it]", file=sys.stderr)
time.sleep(1.5)
sys.exit(int(sys.argv[1]))
"""


def test_a_stage_is_quiet_and_its_failure_names_the_log(tmp_path, capfd):
    log = tmp_path / "folder/warm_start.log"
    run_stage("warm start", [sys.executable, "-c", NOISY, "0"], {}, log)
    with pytest.raises(
        StageError, match=r"^warm start: exit code 3 from (?s:.*); its last line in .*warm_start.log: Epoch 3/5"
    ):
        run_stage("warm start", [sys.executable, "-c", NOISY, "3"], {}, log)
    assert log.read_text().count("200 raw lines") == 400, "a second start is appended"
    shown = capfd.readouterr()
    assert shown.out + shown.err == ""


@pytest.mark.parametrize(("most_steps", "total"), [(None, 50), (30, 30)])
def test_the_bar_counts_steps_of_all_epochs(tmp_path, monkeypatch, most_steps, total):
    bars = []
    monkeypatch.setattr(stage_process, "progress_bar", lambda **options: bars.append(tqdm(disable=False)) or bars[0])
    run_stage("warm start", [sys.executable, "-c", NOISY, "0"], {}, tmp_path / "log", most_steps)
    assert (bars[0].n, bars[0].total) == (24, total)


RUNNER = """
import sys
from pathlib import Path
from easyr1_fgrpo.stopping import stop_code, stoppable
from easyr1_fgrpo.verl_plugin.run.stage_process import run_stage
log = Path(sys.argv[1]) if len(sys.argv) > 1 else None
with stoppable():
    try:
        waits = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
        run_stage("s", [sys.executable, "-c", waits], {}, log)
    except KeyboardInterrupt:
        sys.exit(stop_code())
"""


def test_a_stage_ends_with_the_command_that_is_stopped(tmp_path):
    for number, log in ((signal.SIGINT, None), (signal.SIGTERM, tmp_path / "log")):
        # As a script starts it: with SIGINT ignored.
        runner = subprocess.Popen(
            [sys.executable, "-c", RUNNER, *([log] if log else [])],
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        )
        while log is not None and not (log.exists() and log.read_text().endswith("\n")):
            time.sleep(0.02)
        stage = int(log.read_text() if log else runner.stdout.readline())
        runner.send_signal(number)
        assert runner.wait(60) == 128 + number
        with pytest.raises(ProcessLookupError):
            os.kill(stage, 0)
        runner.stdout.close()
