"""Joining a Ray cluster that asks for a token, as a plain `ray start` does wherever its user has one."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from .ray_cluster import free_port, ray_node

pytestmark = pytest.mark.integration


def test_a_cluster_that_wants_a_token_is_joined_with_rays_own_or_says_what_to_export(tmp_path: Path) -> None:
    token, stranger = tmp_path / "home" / ".ray" / "auth_token", {"HOME": str(tmp_path / "stranger")}
    token.parent.mkdir(parents=True)
    token.write_text(secrets.token_hex(32))
    plain = {key: value for key, value in os.environ.items() if not key.startswith("RAY_AUTH")}
    port = free_port()
    head = ["--head", f"--port={port}", "--node-ip-address=127.0.0.1", "--num-cpus=1", "--include-dashboard=false"]
    with ray_node(head, {**plain, "HOME": str(tmp_path / "home")}, tmp_path / "head.log"):
        until_open(port)

        def stop(**more: str) -> subprocess.CompletedProcess[str]:
            line = [sys.executable, "-m", "easyr1_fgrpo", "judge", "stop"]
            environment = {**plain, "RAY_ADDRESS": f"127.0.0.1:{port}", **more}
            return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=400, check=False)

        assert stop(HOME=str(tmp_path / "home")).returncode == 0
        for more in (stranger, stranger | {"RAY_AUTH_MODE": "token"}, stranger | {"RAY_AUTH_TOKEN": "another"}):
            done = stop(**more)
            (line,) = done.stderr.splitlines()
            assert done.returncode == 1
            assert "RAY_AUTH_MODE" in line
            assert "ray get-auth-token" in line


def until_open(port: int) -> None:
    deadline = time.monotonic() + 400
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        assert time.monotonic() < deadline
        time.sleep(0.1)
