"""The wheel, installed: it holds what its commands need, and they work from any folder without the checkout.

Installed without its dependencies, which are this environment's; its own, editable installation is not seen.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("easyr1_fgrpo", "reward_servers", "data_prep")
UV = Path(sys.executable).with_name("uv")


def run(*command, cwd, **environment):
    kept = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run(
        command, cwd=cwd, env=kept | environment, capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy: a build leaves folders beside the sources."""
    copy = tmp_path_factory.mktemp("sources")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    run(UV, "build", "--wheel", "--no-build-isolation", "--python", sys.executable, "--out-dir", "dist", ".", cwd=copy)
    (path,) = (copy / "dist").glob("*.whl")
    return path


@pytest.fixture(scope="module")
def scripts(wheel, tmp_path_factory):
    """Folder with `python` and `fgrpo` of an environment that has the wheel."""
    venv = tmp_path_factory.mktemp("venv")
    run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=venv)
    (site,) = venv.glob("lib/*/site-packages")
    # A folder named in a .pth file gives its packages, but its own .pth files, the editable installation, are not read.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    run(UV, "pip", "install", "--no-deps", "--offline", "--python", venv / "bin" / "python", wheel, cwd=venv)
    return venv / "bin"


def test_every_file_of_the_packages_is_in_the_wheel_and_nothing_else(wheel):
    built = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = [path.relative_to(ROOT) for name in PACKAGES for path in (ROOT / name).rglob("*") if path.is_file()]
    assert built == {str(path) for path in files if "__pycache__" not in path.parts and path.name != "README.md"}


def test_commands_work_in_another_folder(scripts, tmp_path):
    program = "import easyr1_fgrpo as f; f.constrained_advantage; print(f.__file__)"
    where = run(scripts / "python", "-c", program, cwd=tmp_path)
    assert Path(where).is_relative_to(scripts.parent)

    def fgrpo(*words):
        return run(scripts / "fgrpo", *words, cwd=tmp_path, VERL_PLATFORM="cpu")

    assert fgrpo("--version").strip() == version("easyr1-fgrpo")
    assert "Everything that FGRPO needs is registered" in fgrpo("doctor")
    assert "rollouts" in fgrpo("plan", "backbone=tiny", "dataset=miniature", "scale=cpu", "judge=oracle", "--no-files")
    assert "--benchmark" in fgrpo("evaluate", "--help")
    world = ["--seed=1", "--train=4", "--val=2", "--test=2", "--sft=4", "--sft-val=2", "--out=world"]
    fgrpo("miniature", "build", *world)
    fgrpo("data", "validate", "world/train.parquet")
    fgrpo("data", "inspect", "world/train.parquet")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("trainer: {}\n")
    fgrpo("report", "run")
    assert {path.name for path in tmp_path.iterdir()} == {"world", "run", "report.html"}
