# Each broken condition is made in a process of its own, because verl loads plug-ins once, when it is imported.
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from easyr1_fgrpo.verl_plugin.patch import Patch
from easyr1_fgrpo.verl_plugin.preflight.doctor import _still_needed
from easyr1_fgrpo.verl_plugin.preflight.registrations import Registration

DOCTOR = "from easyr1_fgrpo.cli import app; app(['doctor'])"
PROBLEMS = "from easyr1_fgrpo.verl_plugin.preflight.doctor import registration_problems; print(registration_problems())"


def run(program: str, path: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("VERL_", "PYTHONPATH"))}
    extra = {"PYTHONPATH": str(path)} if path else {}
    return subprocess.run(
        [sys.executable, "-P", "-c", program],
        env=clean | {"COLUMNS": "200"} | extra | environment,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def problems(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert "Traceback" not in done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if line.startswith("problem: ")]


def distribution(folder: Path, name: str, version: str) -> Path:
    """A folder whose metadata stands before the installed distribution's, without entry points."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return folder


def test_a_sound_installation_is_shown_and_passes():
    done = run(DOCTOR, VERL_PLATFORM="cpu")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "verl 0.9.1" in lines
    assert "verl runs on cpu (PlatformCPU)" in lines
    for registered in (
        "trainer fgrpo",
        "estimator cgrpo",
        "agent loop fgrpo_single_turn",
        "engine FrozenVisionEngine",
        "platform cpu",
        "rollout worker transformers_cpu",
        "rollout server transformers_cpu",
    ):
        assert registered in lines
    # verl 0.9.1 has each of these faults: a probe that misses its fault would leave it unpatched.
    assert lines.count("still needed yes, applied") == sum(line.startswith("patch: ") for line in lines) > 0
    assert lines.count("still needed yes, applied") == sum(line.startswith("until ") for line in lines)


def test_a_missing_package_is_named_with_the_fix_and_nothing_heavy_is_imported():
    for module in ["verl", "ray", "transfer_queue"]:
        light = "import atexit; atexit.register(lambda: print('torch' in sys.modules))"
        done = run(f"import sys; sys.modules[{module!r}] = None; {light}; {DOCTOR}")
        assert done.returncode == 1, module
        (line,) = problems(done)
        assert "is not installed: pip install 'easyr1-fgrpo[cpu]'" in line, module
        assert done.stdout.endswith("False\n"), module


def test_another_verl_is_named_with_the_fix(tmp_path):
    done = run(DOCTOR, path=distribution(tmp_path, "verl", "0.8.0"))
    assert done.returncode == 1
    assert problems(done) == [
        "problem: verl 0.8.0 is installed, the plug-in is for 0.9.1: pip install verl==0.9.1",
    ]


def test_a_missing_entry_point_is_named_with_the_fix(tmp_path):
    done = run(DOCTOR, path=distribution(tmp_path, "easyr1_fgrpo", "0.1.0"))
    assert done.returncode == 1
    (line,) = problems(done)
    assert "entry point 'easyr1_fgrpo' of group 'verl.plugins' is not installed" in line
    assert "pip install" in line


def test_a_policy_that_leaves_the_plug_in_out_is_named_with_the_fix():
    for policy in ["none", "another_plugin"]:
        done = run(DOCTOR, VERL_USE_EXTERNAL_PLUGINS=policy)
        assert done.returncode == 1, policy
        (line,) = problems(done)
        assert f"VERL_USE_EXTERNAL_PLUGINS={policy} keeps verl from loading the plug-in: unset it" in line, policy


def test_a_plug_in_that_does_not_load_says_why():
    # verl itself logs this at DEBUG only and goes on.
    broken = "import sys; sys.modules['easyr1_fgrpo.verl_plugin.cpu.platform'] = None"
    done = run(f"{broken}; {DOCTOR}", VERL_PLATFORM="cpu")
    assert done.returncode == 1
    (line,) = problems(done)
    assert "failed to load: ModuleNotFoundError" in line
    assert "easyr1_fgrpo.verl_plugin.cpu.platform" in line


def test_a_platform_that_verl_cannot_take_is_named_with_the_fix():
    late = f"import os, verl; os.environ['VERL_PLATFORM'] = 'cpu'; {PROBLEMS}"
    unknown = f"os.environ['VERL_PLATFORM'] = 'abacus'; {PROBLEMS}"
    first, second = run(f"{late}; {unknown}").stdout.splitlines()
    assert first == "['VERL_PLATFORM=cpu was set after verl had been imported: set it before Python starts']"
    assert second.startswith("['VERL_PLATFORM=abacus is unknown to verl: unset it, or set it to one of amd, cpu, ")


def registration(owner: str) -> Registration:
    return Registration("estimator", "cgrpo", owner, lambda module: "cgrpo" in module.REGISTRY)


def test_what_is_not_registered_is_named_with_the_cause(monkeypatch):
    owner = ModuleType("owner")
    monkeypatch.setitem(sys.modules, "owner", owner)
    owner.REGISTRY = {"cgrpo": print}
    assert registration("owner").problem() is None
    owner.REGISTRY = {}
    assert registration("owner").problem() == "estimator 'cgrpo' is not registered: owner does not hold it"
    del owner.REGISTRY
    assert "not registered: AttributeError: " in registration("owner").problem()
    assert "not registered: ModuleNotFoundError: " in registration("no_such_owner").problem()


@pytest.mark.parametrize(
    ("needed", "wanted", "said"),
    [
        (True, True, "yes, applied"),
        (True, False, "yes, but not on this platform"),
        (False, True, "no, it can go"),
    ],
)
def test_a_patch_says_whether_it_is_still_needed(monkeypatch, needed, wanted, said):
    patch = Patch("p", "json", "why", "until", needed=lambda module: needed, apply=lambda module: None, everywhere=True)
    monkeypatch.setattr(Patch, "wanted", lambda self: wanted)
    assert _still_needed(patch) == said


def test_a_patch_whose_target_is_gone_cannot_tell():
    gone = Patch("p", "json", "", "", lambda module: bool(module.no_such_name), lambda module: None, everywhere=True)
    assert _still_needed(gone).startswith("cannot tell: AttributeError: ")
