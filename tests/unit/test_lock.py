# One process trains in a run directory; a killed one gives it back.
import json
import os
import signal
import subprocess
import sys

import pytest

from easyr1_fgrpo.lock import HOLDER_FILE, RunLockedError, lock_problems, locked

HOLD = """
import sys, time
from pathlib import Path
from easyr1_fgrpo.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_second_process_is_refused_and_a_killed_ones_lock_is_taken_over(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout.readline() == b"held\n"
            with pytest.raises(RunLockedError, match=rf"process {other.pid} on .* works there; wait for its end"):
                locked(tmp_path).__enter__()
            (problem,) = lock_problems(tmp_path)
            assert f"process {other.pid} on " in problem
        finally:
            other.send_signal(signal.SIGKILL)
    assert lock_problems(tmp_path) == []
    with locked(tmp_path) as before:
        assert before.startswith(f"process {other.pid} on ")
        assert json.loads((tmp_path / HOLDER_FILE).read_text())["pid"] == os.getpid()
    with locked(tmp_path) as before:
        assert before is None, "the last one gave it back"


def test_a_folder_that_cannot_be_is_refused_in_a_line(tmp_path):
    (tmp_path / "file").touch()
    said = f"{tmp_path}/file/run: {tmp_path}/file is no folder; name another place"
    assert lock_problems(tmp_path / "file/run") == []  # nobody works there, and `machine_problems` says the rest
    with pytest.raises(RunLockedError, match=said):
        locked(tmp_path / "file/run").__enter__()
