"""Which `verl` an environment has: upstream's, EasyR1's, or none."""

import os
import subprocess
import sys

from typer.testing import CliRunner

from easyr1_fgrpo.cli import app
from easyr1_fgrpo.host import EASYR1_COMMIT, find_host

PROGRAM = "from easyr1_fgrpo.host import find_host; h = find_host(); print(h and (h.kind, h.changed_files()[0]))"


def python(*arguments, path=None):
    environment = os.environ | ({"PYTHONPATH": str(path)} if path else {})
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=400, check=False
    )


def fake(folder, *files):
    for name in files:
        (folder / "verl" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "verl" / name).touch()
    return folder


def test_here_it_is_upstreams():
    assert find_host().kind == "verl"


def test_easyr1_is_known_by_its_files_and_so_is_another_state_of_it(tmp_path):
    easyr1 = fake(tmp_path / "a", "__init__.py", "trainer/ray_trainer.py", "workers/reward/function.py")
    assert python("-c", PROGRAM, path=easyr1).stdout == "('easyr1', 'trainer/config.py')\n"
    other = fake(tmp_path / "b", "__init__.py")
    assert python("-c", PROGRAM, path=other).stdout == "('unknown', 'trainer/config.py')\n"


def test_a_config_of_easyr1_is_refused_where_verl_is_upstreams():
    for command in ("plan", "train"):
        done = CliRunner().invoke(app, [command, "config=theirs.yaml"])
        assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert "upstream's verl, whose runs take no config=FILE" in line
    assert line.endswith(f"git checkout {EASYR1_COMMIT} && pip install --no-deps --editable .")


def test_doctor_speaks_of_easyr1_where_that_is_installed(tmp_path):
    easyr1 = fake(tmp_path, "__init__.py", "trainer/ray_trainer.py", "workers/reward/function.py")
    done = python("-m", "easyr1_fgrpo", "doctor", path=easyr1)
    assert f"warning: {easyr1}/verl is not EasyR1 at {EASYR1_COMMIT}: trainer/config.py" in done.stdout
    assert done.returncode == 0, done.stderr  # VERL_PLATFORM=cpu, so nobody misses vLLM
