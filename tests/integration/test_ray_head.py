"""The Ray of a recipe's own ends with its script, whatever ends that."""

import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
SCRIPT = "set -euo pipefail; source recipes/setup/ray.sh; start_ray --num-cpus=1 >&2; echo started; read -r _"


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_ray_ends_with_the_script(signum: int) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    with subprocess.Popen(
        ["bash", "-c", SCRIPT], cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as script:
        assert script.stdout is not None
        assert script.stdout.readline() == "started\n"
        started = psutil.Process(script.pid).children(recursive=True)
        assert any("gcs_server" in process.name() for process in started)
        script.send_signal(signum)
        _, left = psutil.wait_procs(started, timeout=120)
        assert left == []
