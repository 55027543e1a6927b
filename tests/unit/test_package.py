"""What `import easyr1_fgrpo` offers: the names a researcher looks for, at next to no cost."""

import os
import subprocess
import sys
from importlib.metadata import version

import pytest

import easyr1_fgrpo


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=400, check=False)


def processor_seconds(code):
    """Of a fresh interpreter, the least of three: where the machine stands still during one, that is no finding."""
    taken = []
    for _ in range(3):
        before = os.times()
        assert python(code).returncode == 0
        after = os.times()
        taken.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return min(taken)


def test_every_name_is_there_and_listed():
    found = {name: getattr(easyr1_fgrpo, name) for name in easyr1_fgrpo.__all__}
    assert {
        "constrained_advantage",
        "DualAscent",
        "consistency_reward",
        "ciou",
        "Signal",
        "TraceRecord",
    } <= found.keys()
    assert set(dir(easyr1_fgrpo)) == {*found, "__version__"}


def test_the_version_is_the_installed_one():
    assert easyr1_fgrpo.__version__ == version("easyr1-fgrpo")


def test_a_wrong_name_is_an_ordinary_error():
    with pytest.raises(AttributeError, match=r"^module 'easyr1_fgrpo' has no attribute 'cious'$"):
        _ = easyr1_fgrpo.cious


def test_a_name_that_needs_torch_says_how_to_get_it():
    done = python("import sys; sys.modules['torch'] = None; import easyr1_fgrpo as f; f.ciou; f.constrained_advantage")
    lines = done.stderr.splitlines()
    assert lines[-2].startswith("ModuleNotFoundError")
    assert lines[-1] == "torch is not installed: pip install 'easyr1-fgrpo[cpu]' or 'easyr1-fgrpo[gpu]'"


def test_the_import_takes_less_than_150_milliseconds():
    assert processor_seconds("import easyr1_fgrpo; dir(easyr1_fgrpo)") - processor_seconds("pass") < 0.15
