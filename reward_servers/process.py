"""An HTTP server process that is watched: ended when it stops answering, started again when it ended."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from reward_servers import guard

TAIL_LINES = 15
TAIL_BYTES = 16_384

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Timing:
    """How patiently a process is watched; all in seconds but `missed_checks`.

    Attributes:
        start_deadline: from the start of the process to its first healthy answer.
        check_every: between two health checks.
        check_deadline: for the answer to one.
        missed_checks: unanswered checks in a row after which a process that was healthy is ended.
        end_deadline: from SIGTERM to SIGKILL.
        first_delay, longest_delay: before a restart; doubled at each one that follows without a healthy answer between.
    """

    start_deadline: float
    check_every: float = 2.0
    check_deadline: float = 15.0
    missed_checks: int = 4
    end_deadline: float = 10.0
    first_delay: float = 1.0
    longest_delay: float = 60.0


@dataclass(frozen=True)
class Health:
    """What is known about a watched process.

    Attributes:
        healthy: whether it answered its last health check.
        pid: the process group it runs in, 0 when none runs.
        restarts: how often it was started again.
        failure: why it last ended, with the last lines of its log; empty when it never did.
    """

    healthy: bool
    pid: int
    restarts: int
    failure: str


class WatchedProcess:
    """Keeps a server process running until it is closed.

    Args:
        command: the command line.
        env: its whole environment.
        host: where it listens.
        port: where it listens; GET /health answers 200 when it is healthy.
        log: its output is appended here.
        timing: how patiently it is watched.

    Raises:
        OSError: when the log cannot be written.
    """

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str], host: str, port: int, log: Path, timing: Timing
    ) -> None:
        self.command = list(command)
        self.env = dict(env)
        self.host = host
        self.port = port
        self.log = log
        self.timing = timing
        log.parent.mkdir(parents=True, exist_ok=True)
        log.open("ab").close()
        self._health = Health(healthy=False, pid=0, restarts=0, failure="")
        self._closing = threading.Event()
        self._watcher = threading.Thread(target=self._keep_running, daemon=True, name=f"watches {command[0]}")
        self._watcher.start()

    def health(self) -> Health:
        """What is known now."""
        return self._health

    def close(self) -> None:
        """End the process and everything it started, and wait until they are gone."""
        self._closing.set()
        self._watcher.join()

    # ------------------------------------------------------------------ the watching thread, sole writer of _health

    def _keep_running(self) -> None:
        delay = self.timing.first_delay
        restarts = 0
        while True:
            try:
                was_healthy, cause = self._run_once(restarts)
            except Exception as error:  # this thread must go on: nobody else restarts the process
                was_healthy, cause = False, f"cannot be run: {error}"
            self._health = Health(healthy=False, pid=0, restarts=restarts, failure=cause)
            if was_healthy:
                delay = self.timing.first_delay
            if self._closing.wait(delay):
                return
            delay = min(2 * delay, self.timing.longest_delay)
            restarts += 1

    def _run_once(self, restarts: int) -> tuple[bool, str]:
        """Start the process and watch it to its end.

        Returns:
            Whether it was ever healthy, and why it ended.
        """
        self._claim_port()
        process, log_start = self._start()
        failure = self._health.failure
        healthy = False
        try:
            self._health = Health(False, process.pid, restarts, failure)
            cause = self._until_healthy(process)
            if not cause:
                healthy = True
                self._health = Health(True, process.pid, restarts, failure)
                cause = self._until_it_fails(process)
        finally:
            self._end(process)
        return healthy, f"{cause}; {self._tail(log_start)}"

    def _claim_port(self) -> None:
        """Fail while another server listens there: its health must not be taken for the process's own."""
        try:
            socket.create_server((self.host, self.port)).close()
        except OSError as error:
            raise OSError(f"{self.host}:{self.port} cannot be listened at: {error.strerror}") from error

    def _start(self) -> tuple[subprocess.Popen[bytes], int]:
        with self.log.open("ab") as log:
            log.write(f"== {time.strftime('%Y-%m-%d %H:%M:%S')} {' '.join(self.command)}\n".encode())
            log.flush()
            start = log.tell()
            guarded = [sys.executable, "-I", "-S", guard.__file__, *self.command]
            process = subprocess.Popen(
                guarded, stdin=subprocess.PIPE, stdout=log, stderr=log, env=self.env, start_new_session=True
            )
        return process, start

    def _until_healthy(self, process: subprocess.Popen[bytes]) -> str:
        deadline = time.monotonic() + self.timing.start_deadline
        while not self._answers():
            if ended := self._ended_within(process, min(self.timing.check_every, 0.5)):
                return f"{ended} before it was healthy"
            if time.monotonic() > deadline:
                return f"not healthy within start_deadline_s={self.timing.start_deadline:g}"
        return ""

    def _until_it_fails(self, process: subprocess.Popen[bytes]) -> str:
        missed = 0
        while missed < self.timing.missed_checks:
            if ended := self._ended_within(process, self.timing.check_every):
                return ended
            missed = 0 if self._answers() else missed + 1
        return f"no answer to {missed} health checks in a row"

    def _ended_within(self, process: subprocess.Popen[bytes], seconds: float) -> str:
        """Why there is nothing to watch any more, empty while there is; notices within a tenth of a second."""
        deadline = time.monotonic() + seconds
        while process.poll() is None:
            if self._closing.is_set():
                return "closed"
            if time.monotonic() > deadline:
                return ""
            time.sleep(0.1)
        return f"ended with exit code {process.returncode}"

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=self.timing.check_deadline)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """End the whole process group: a server that died may leave workers, which hold the GPU's memory."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            _signal_group(process.pid, number)
            deadline = time.monotonic() + self.timing.end_deadline
            while _runs(process.pid) and time.monotonic() < deadline:
                time.sleep(0.05)
        process.wait()
        if process.stdin is not None:
            process.stdin.close()

    def _tail(self, start: int) -> str:
        """The last lines of the log since `start`, ready to be shown on a terminal."""
        with self.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(start, size - TAIL_BYTES))
            lines = _COLOUR.sub("", log.read().decode(errors="replace")).splitlines()[-TAIL_LINES:]
        shown = ["".join(char if char.isprintable() else " " for char in line).rstrip() for line in lines]
        heading = f"the last lines of {self.log}:" if shown else f"nothing was written to {self.log}"
        return "\n    ".join([heading, *shown])


def _signal_group(group: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def _runs(group: int) -> bool:
    """Whether a process of a group is not dead; one that died and was not collected is (containers often never do)."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended while we looked
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state not in "ZX":
                return True
    return False
