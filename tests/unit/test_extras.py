"""What is missing is said with the command that installs it."""

import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

from easyr1_fgrpo.extras import missing

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


def test_a_missing_package_is_named_with_every_extra_that_brings_it():
    assert missing("plotly") == "plotly is not installed: pip install 'easyr1-fgrpo[report]'"
    assert missing("verl.protocol") == ("verl is not installed: pip install 'easyr1-fgrpo[cpu]' or 'easyr1-fgrpo[gpu]'")
    assert missing("torch", "transfer_queue", "torch.nn") == (
        "torch, transfer_queue are not installed: pip install 'easyr1-fgrpo[cpu]' or 'easyr1-fgrpo[gpu]'"
    )
    assert missing("sklearn") == "sklearn is not installed: pip install 'easyr1-fgrpo[data]'"
    assert missing("PIL") == "PIL is not installed: pip install easyr1-fgrpo"


def test_what_no_single_extra_brings_is_not_ours_to_ask_for():
    assert missing("some_library_of_the_user") is None
    assert missing("torch", "some_library_of_the_user") is None


def test_the_installed_metadata_are_read():
    for extra, lines in PROJECT["optional-dependencies"].items():
        for line in lines:
            assert f"'easyr1-fgrpo[{extra}]'" in missing(Requirement(line).name.replace("-", "_"))


WITHOUT = """
import sys

class Without:
    def __init__(self, finder): self.finder = finder
    def __getattr__(self, name): return getattr(self.finder, name)
    def find_spec(self, name, *rest): return None if name == {package!r} else self.finder.find_spec(name, *rest)

sys.meta_path[:] = map(Without, sys.meta_path)  # as if it were not installed: also what looks for it finds nothing
from easyr1_fgrpo.cli import app
app({arguments!r})
"""


def test_a_command_that_misses_a_package_ends_with_one_line(tmp_path):
    (tmp_path / "config.yaml").write_text("trainer: {}\n")
    run = str(tmp_path)
    for package, arguments, extra in (
        ("matplotlib", ["figures", run, "-o", f"{run}/figures"], "report"),
        ("torch", ["study", "choices", run], "cpu"),
        ("ray", ["judge", "serve"], "cpu"),
        ("aiolimiter", ["data", "mcts", run, "--out", f"{run}/out", "--base-url=http://x/v1", "--model=m"], "data"),
        ("verl", ["plan"], "cpu"),
    ):
        program = WITHOUT.format(package=package, arguments=arguments)
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=400, check=False)
        assert done.returncode == 1, done.stderr
        assert done.stderr.startswith(f"error: {package} is not installed: pip install 'easyr1-fgrpo[{extra}]'"), (
            package
        )
        assert done.stderr.count("\n") == 1
