import os
import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="session")
def recipes():
    """RL recipe with verl -> its group choices."""
    found = {}
    for path in sorted({*(ROOT / "recipes").glob("run_fgrpo_*.sh")} - {*(ROOT / "recipes").glob("*_easyr1_*.sh")}):
        (call,) = re.findall(r'^run_recipe (.*) "\$@"$', path.read_text(), re.MULTILINE)
        found[path.name] = shlex.split(call)
    return found


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """A machine with so many GPUs, as nvidia-smi lists them; none, until a test says so."""
    folder = tmp_path / "driver"
    folder.mkdir()
    smi = folder / "nvidia-smi"

    def machine(gpus):
        lines = "".join(f"echo 'GPU {number}: NVIDIA H100 80GB HBM3 (UUID: GPU-{number})'\n" for number in range(gpus))
        smi.write_text(f"#!/bin/sh\n{lines}" if gpus else "#!/bin/sh\necho 'no devices were found'\nexit 6\n")
        smi.chmod(0o755)

    machine(0)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    for name in ("RAY_ADDRESS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    return machine
