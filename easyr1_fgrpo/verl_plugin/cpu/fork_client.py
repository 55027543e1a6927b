"""`python fork_client.py SOCKET COMMAND...`: what Ray starts in the place of a Python worker, see fork_server.py.

It has the fork server run the command, waits for the end, and ends with the same code. It imports the standard library
alone, and without a fork server it becomes the worker itself.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from contextlib import suppress


def main(path: str, command: list[str]) -> int:
    """Run what a Python interpreter was to run.

    Args:
        path: the fork server's socket.
        command: a script and its arguments.

    Returns:
        Its exit code; 128 plus the number of the signal that ended it, as in a shell.
    """
    with socket.socket(socket.AF_UNIX) as server, suppress(OSError):
        server.connect(path)
        order = json.dumps({"command": command, "environment": dict(os.environ), "folder": os.getcwd()}).encode()
        socket.send_fds(server, [len(order).to_bytes(8, "big")], [0, 1, 2])
        server.sendall(order)
        if server.recv(1):  # it is running
            return (server.recv(1) or b"\1")[0]
    os.execv(sys.executable, [sys.executable, *command])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
