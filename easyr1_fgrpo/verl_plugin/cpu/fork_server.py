"""Forks Ray's workers from one process that has imported what they import, which two cores can do once, not ten times.

Ray starts each worker by `fork_client.py` (`py_executable` of a runtime environment), which sends the worker's command,
environment and files here. As with workers in containers, Ray knows a worker by the process that registers.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import random
import runpy
import selectors
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

IMPORTED = (
    "torch.distributed.fsdp",
    "tensordict",
    "torchdata.stateful_dataloader",
    "transformers.models.qwen2_5_vl.modeling_qwen2_5_vl",
    "transformers.generation.utils",
    "datasets",
    "peft",
    "fastapi",
    "aiohttp",
    "hydra",
)
"""What verl imports, five seconds of six, but for Ray: that reads, when it is imported, whose worker it is in."""

MOST_LETTERS = 80
"""Of the folder for temporary files: a socket's whole path has 107 at most."""


@contextmanager
def forked_workers(hash_seed: int | None) -> Iterator[str]:
    """A fork server for as long as the block lasts.

    Args:
        hash_seed: PYTHONHASHSEED of the workers, which an interpreter reads at its start only; None for a random one.

    Yields:
        The `py_executable` of a runtime environment whose workers it forks.
    """
    # What is no seed, the run's checks refuse with all else.
    seeded = isinstance(hash_seed, int) and 0 <= hash_seed < 2**32
    seed = {"PYTHONHASHSEED": str(hash_seed)} if seeded else {}
    place = tempfile.gettempdir() if len(tempfile.gettempdir()) < MOST_LETTERS else "/tmp"
    with tempfile.TemporaryDirectory(prefix="fgrpo-", dir=place) as folder:  # ours alone: who reaches it runs code
        path = str(Path(folder, "forks"))
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(64)  # whoever connects during the imports waits
            server = subprocess.Popen(
                [sys.executable, "-m", __name__, str(listener.fileno())],
                stdin=subprocess.PIPE, pass_fds=[listener.fileno()], env={**os.environ, **seed},
            )  # fmt: skip
        try:
            yield shlex.join([sys.executable, "-I", "-S", str(Path(__file__).with_name("fork_client.py")), path])
        finally:
            server.terminate()
            server.wait()


@dataclass(frozen=True)
class Order:
    """What a client wants to be run: a script and its arguments, its environment, its folder, and files 0, 1, 2."""

    command: list[str]
    environment: dict[str, str]
    folder: str
    files: tuple[int, ...]

    @classmethod
    def received(cls, client: socket.socket) -> Order:
        """What a client says first.

        Raises:
            ValueError: for a client that was gone before it had said so.
        """
        size, files, _, _ = socket.recv_fds(client, 8, 3)
        text = client.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL)
        return cls(**json.loads(text), files=tuple(files))

    def run(self) -> None:
        """Be that script, as if this process had been started for it."""
        os.setpgid(0, 0)  # Ray ends a worker by its group
        os.environ.clear()
        os.environ.update(self.environment)
        os.chdir(self.folder)
        for number, file in enumerate(self.files):
            os.dup2(file, number)
            os.close(file)
        random.seed()  # other than that of all other forks
        sys.argv = self.command
        runpy.run_path(self.command[0], run_name="__main__")


def main(listening: int) -> None:
    """Import, then fork until standard input ends; a fork runs what was ordered.

    Args:
        listening: the file descriptor of the socket on which clients connect.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # as in workers of Ray's own: Ctrl-C is for the command
    with socket.socket(fileno=listening) as listener:
        for name in IMPORTED:
            importlib.import_module(name)
        gc.collect()
        gc.freeze()  # the memory of what was imported stays shared
        assert "ray" not in sys.modules
        assert threading.active_count() == 1  # a fork has the thread that forks, and no other
        order = _served(listener)
        if not order:  # the owner was killed, else it would have ended this process
            shutil.rmtree(Path(listener.getsockname()).parent)
    if order:
        order.run()


def _served(listener: socket.socket) -> Order | None:
    """Fork for each client; in a fork, its order. None at the end of standard input."""
    running: dict[int, socket.socket] = {}
    with selectors.DefaultSelector() as events:
        events.register(0, selectors.EVENT_READ)
        events.register(listener, selectors.EVENT_READ)
        while True:
            for event, _ in events.select():
                if event.fileobj == 0:
                    return None
                if event.fileobj is listener:
                    client, _ = listener.accept()
                    try:
                        order = Order.received(client)
                    except ValueError:
                        client.close()
                        continue
                    if not (pid := os.fork()):
                        for one in (client, *running.values()):
                            one.close()
                        return order
                    for file in order.files:
                        os.close(file)
                    running[pid] = client
                    _tell(client, 1)
                    events.register(os.pidfd_open(pid), selectors.EVENT_READ, data=pid)
                else:
                    events.unregister(event.fileobj)
                    os.close(event.fd)
                    code = os.waitstatus_to_exitcode(os.waitpid(event.data, 0)[1])
                    with running.pop(event.data) as client:
                        _tell(client, code if code >= 0 else 128 - code)


def _tell(client: socket.socket, number: int) -> None:
    with suppress(OSError):  # Ray may have ended it
        client.sendall(bytes([number]))


if __name__ == "__main__":
    main(int(sys.argv[1]))
