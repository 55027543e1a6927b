"""A Ray cluster of two nodes on loopback, as `ray start` makes it: a head with its job server, and one worker."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

START_DEADLINE_S = 400
RESOURCES = ("--num-cpus=8", "--num-gpus=1")
"""Of each node; a GPU is a slot for one rank of the policy, and its worker asks for three CPUs."""


@dataclass(frozen=True)
class Cluster:
    """How to reach it."""

    address: str
    jobs: str
    environment: dict[str, str]


@contextmanager
def ray_cluster(folder: Path, resources: Sequence[str] = RESOURCES) -> Iterator[Cluster]:
    """Start head and worker with a token of their own; end exactly these processes."""
    ports = {name: free_port() for name in ("gcs", "dashboard", "agent", "agent_grpc", "metrics", "client")}
    environment = {
        **os.environ,
        "VERL_PLATFORM": "cpu",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_ADDRESS": f"127.0.0.1:{ports['gcs']}",
    }
    head = [
        *("--head", f"--port={ports['gcs']}", "--node-ip-address=127.0.0.1"),
        *("--include-dashboard=true", "--dashboard-host=127.0.0.1", f"--dashboard-port={ports['dashboard']}"),
        f"--dashboard-agent-listen-port={ports['agent']}",
        f"--dashboard-agent-grpc-port={ports['agent_grpc']}",
        f"--metrics-export-port={ports['metrics']}",
        f"--ray-client-server-port={ports['client']}",
        *resources,
    ]
    worker = [f"--address=127.0.0.1:{ports['gcs']}", "--node-ip-address=127.0.0.1", *resources]
    with ExitStack() as stack:
        # A job finds its own cluster by this folder: in Ray's usual one it would join whichever was started last here.
        # Short, because a socket's path has room for 107 characters.
        session = stack.enter_context(TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True))
        head.append(f"--temp-dir={session}")
        stack.enter_context(ray_node(head, environment, folder / "head.log"))
        _wait(["ray", "health-check", "--address", f"127.0.0.1:{ports['gcs']}"], environment)
        stack.enter_context(ray_node(worker, environment, folder / "worker.log"))
        jobs = f"http://127.0.0.1:{ports['dashboard']}"
        _wait(["ray", "job", "list", "--address", jobs], environment)
        yield Cluster(f"127.0.0.1:{ports['gcs']}", jobs, environment)


@contextmanager
def ray_node(options: list[str], environment: dict[str, str], log: Path) -> Iterator[None]:
    """Start one node by `ray start`; end exactly this process."""
    without_address = {key: value for key, value in environment.items() if key != "RAY_ADDRESS"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["ray", "start", "--block", "--disable-usage-stats", "--object-store-memory=200000000", *options],
            env=without_address, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def _wait(command: list[str], environment: dict[str, str]) -> None:
    deadline = time.monotonic() + START_DEADLINE_S
    while subprocess.run(command, env=environment, capture_output=True, check=False).returncode:
        assert time.monotonic() < deadline, command
        time.sleep(1.0)


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
