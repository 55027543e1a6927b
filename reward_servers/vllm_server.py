"""The Ray actor that owns one `vllm serve` process, on GPUs that its placement group keeps for it."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray

from easyr1_fgrpo.config.judges import VllmServerConfig
from reward_servers.process import Health, Timing, WatchedProcess


def command_line(config: VllmServerConfig, host: str, port: int) -> list[str]:
    """How vLLM is started for a config.

    Args:
        config: what to serve.
        host: the address to listen at.
        port: the port to listen at.
    """
    line = [*config.command, config.model, "--host", host, "--port", str(port)]
    line += ["--served-model-name", config.model]
    line += ["--tensor-parallel-size", str(config.tensor_parallel_size)]
    line += ["--gpu-memory-utilization", str(config.gpu_memory_utilization)]
    for key, value in config.arguments.items():
        if value is True:
            line.append(f"--{key}")
        elif value is not False:
            line += [f"--{key}", str(value)]
    return line


def environment(config: VllmServerConfig, inherited: Mapping[str, str]) -> dict[str, str]:
    """The environment of the process: that of its actor, which holds the GPUs Ray chose, less what leads to Ray.

    vLLM would take Ray's variables for an invitation to run its workers there.
    """
    return {key: value for key, value in inherited.items() if not key.startswith("RAY_")} | config.env


def reservation(config: VllmServerConfig) -> dict[str, float]:
    """The Ray resources a server takes: the one bundle of its placement group."""
    wanted = {"CPU": config.num_cpus, "GPU": float(config.gpus)}
    return {name: amount for name, amount in wanted.items() if amount > 0}


class VllmServer:
    """Serves a model with vLLM at this node's address in the cluster's network.

    vLLM asks for no API key, unless the environment that Ray was started in holds VLLM_API_KEY.

    Args:
        config: what to serve.
        port: where; the same after every restart.
        log: the file for vLLM's output, on this node.
        directory: where a relative `model` and a relative `log` start; a Ray worker's own directory is the cluster's.

    Raises:
        OSError: when the directory does not exist on this node, or the log cannot be written.
    """

    def __init__(self, config: VllmServerConfig, port: int, log: str, directory: str) -> None:
        os.chdir(directory)
        host = ray.util.get_node_ip_address()
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"
        self.was_healthy = False
        self.process = WatchedProcess(
            command_line(config, host, port),
            environment(config, os.environ),
            host,
            port,
            Path(log).absolute(),
            Timing(start_deadline=config.start_deadline_s),
        )

    def health(self) -> Health:
        """Whether vLLM answers, its process id, its restarts and why it last ended."""
        return self.process.health()

    def urls(self) -> list[str]:
        """Where the model can be asked; nothing before it answers for the first time.

        While vLLM is being restarted they stay the same, and do not answer.
        """
        self.was_healthy = self.was_healthy or self.process.health().healthy
        return [self.url] if self.was_healthy else []

    def close(self) -> None:
        """End vLLM and wait until its processes are gone."""
        self.process.close()


VllmServerActor: Any = ray.remote(
    # A killed actor comes back on the same GPUs: its placement group stays. `close` may block, `health` must not.
    max_restarts=-1,
    max_concurrency=4,
)(VllmServer)
"""`VllmServer` as a Ray actor."""


def _free_port() -> int:
    with socket.create_server((ray.util.get_node_ip_address(), 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


free_port: Any = ray.remote(num_cpus=0)(_free_port)
"""A Ray task: a port that is free at the address of its node."""
