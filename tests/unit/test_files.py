import errno
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from easyr1_fgrpo.files import LineFile, place_problem, replacing, whole_folder

MAKE = """
import sys, time
from pathlib import Path
from easyr1_fgrpo.files import whole_folder
with whole_folder(Path(sys.argv[1])) as folder:
    (folder / "first").touch()
    print("making", flush=True)
    time.sleep(600)
"""


def fail_in(folder):
    (folder / "half").touch()
    raise RuntimeError


def test_a_folder_that_failed_leaves_nothing_half_written_and_the_earlier_one(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "earlier").touch()
    with pytest.raises(RuntimeError), whole_folder(out, replace=True) as folder:
        fail_in(folder)
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["out", "out/earlier"]


def test_a_full_disk_is_named_with_its_file(tmp_path, monkeypatch):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with (
        pytest.raises(OSError, match=f"No space left on device: '{tmp_path / 'a.json'}'"),
        replacing(tmp_path / "a.json"),
    ):
        raise full
    assert list(tmp_path.iterdir()) == []
    lines = LineFile(tmp_path / "b.jsonl")
    monkeypatch.setattr(
        lines._file, "flush", lambda: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")), raising=False
    )
    with pytest.raises(OSError, match=r"full: '.*b\.jsonl'"):
        lines.append("{}")


def test_where_nothing_can_be_written_is_said_before(tmp_path):
    (tmp_path / "file").touch()
    assert place_problem(tmp_path / "file/run") == f"{tmp_path / 'file'} is no folder"
    assert place_problem(tmp_path / "a/b/run") is None
    assert (
        place_problem(Path("/proc/run")) == "/proc cannot be written into"
    )  # of root, too, whose permissions allow it
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_another_process_makes_is_left_to_it_until_it_is_killed(tmp_path):
    out = tmp_path / "out"
    with subprocess.Popen([sys.executable, "-c", MAKE, out], stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout.readline() == b"making\n"
            with pytest.raises(OSError, match=rf"{re.escape(str(out))}: another process is making it; wait"):
                whole_folder(out).__enter__()
            assert (tmp_path / ".out.partial/first").exists()
        finally:
            other.send_signal(signal.SIGKILL)
    with whole_folder(out) as folder:
        (folder / "second").touch()
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["out", "out/second"]
