"""Serves a local checkpoint for the time of an evaluation: by `vllm serve` where it is installed, else by ours."""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp

from easyr1_fgrpo.checkpoints import CheckpointError
from easyr1_fgrpo.model_client.client import Address

START_DEADLINE_S = 1800.0
END_DEADLINE_S = 10.0
TAIL_LINES = 5
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


@asynccontextmanager
async def served(folder: Path, name: str, log: Path) -> AsyncIterator[Address]:
    """A server of a checkpoint on a free port of this machine, up within the block.

    Args:
        folder: Hugging Face folder.
        name: under which it is served.
        log: the server's output is appended here.

    Raises:
        CheckpointError: when it does not start; with the last lines of its log.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            _command(folder, name, port),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
            start_new_session=True,
            preexec_fn=_end_with_parent,  # we may be killed and run no clean-up
        )
    try:
        await _until_healthy(process, port, folder, log)
        yield Address((f"http://127.0.0.1:{port}/v1",), served=name)
    finally:
        await asyncio.to_thread(_end, process)


def _command(folder: Path, name: str, port: int) -> list[str]:
    address = ["--host", "127.0.0.1", "--port", str(port), "--served-model-name", name]
    if vllm := shutil.which("vllm"):
        return [vllm, "serve", str(folder), *address]
    return [sys.executable, "-m", "easyr1_fgrpo", "serve", str(folder), *address]


def _end_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


async def _until_healthy(process: subprocess.Popen[bytes], port: int, folder: Path, log: Path) -> None:
    deadline = time.monotonic() + START_DEADLINE_S
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5.0)) as session:
        while True:
            with suppress(aiohttp.ClientError, TimeoutError):
                async with session.get(f"http://127.0.0.1:{port}/health") as response:
                    if response.status == 200:
                        return
            if process.poll() is not None or time.monotonic() > deadline:
                lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:]
                output = " | ".join(line.strip() for line in lines if line.strip())
                raise CheckpointError(f"{folder} cannot be served; the last lines of {log}: {output}")
            await asyncio.sleep(0.2)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the whole process group: a server that died may leave workers, which hold the GPU's memory."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_DEADLINE_S)
