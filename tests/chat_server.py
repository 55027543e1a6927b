"""What every chat completions server of the tests stands on: an address on loopback, and the shape of a reply."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import uvicorn


def completion(
    model: str, said: str | Mapping[str, Any] | None, finish_reason: str, tokens: tuple[int, int]
) -> dict[str, Any]:
    """A reply of the protocol with a text or a whole message; `tokens` of prompt and completion."""
    message = said if isinstance(said, Mapping) else {"role": "assistant", "content": said}
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)},
    }


@contextmanager
def serving(app: Callable[..., Any], port: int = 0) -> Iterator[str]:
    """The application in a thread of this process, up within the block: its base URL."""
    listening = socket.create_server(("127.0.0.1", port), backlog=1024)
    # asyncio does this only for sockets that name their protocol; without it replies wait 40 ms for an acknowledgement.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    settings = uvicorn.Config(app, log_level="critical", access_log=False, lifespan="off", timeout_keep_alive=30)
    running = uvicorn.Server(settings)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    finally:
        running.should_exit = running.force_exit = True
        thread.join(10)
        listening.close()
        assert not thread.is_alive()


def serve_for_starter(app: Callable[..., Any], port: int = 0) -> None:
    """Print the URL and serve until the starter is gone (its end of our standard input closes); for `in_process`."""
    with serving(app, port) as url:
        print(url, flush=True)
        sys.stdin.read()


@contextmanager
def in_process(script: str, *arguments: object) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A script that ends in `serve_for_starter`, up within the block: its URL and the process."""
    command = [sys.executable, script, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().strip() if process.stdout else ""
            assert url.startswith("http"), f"{command} did not start"
            yield url, process
        finally:
            process.kill()
