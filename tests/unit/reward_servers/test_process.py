import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from itertools import pairwise
from pathlib import Path

import pytest

from reward_servers.process import Timing, WatchedProcess

QUICK = Timing(
    start_deadline=20.0,
    check_every=0.1,
    check_deadline=0.5,
    missed_checks=2,
    end_deadline=1.0,
    first_delay=0.05,
    longest_delay=0.2,
)

# A server with a worker process, as vLLM has; what it does beyond answering is its first argument.
SERVER = """
import http.server, json, os, signal, subprocess, sys, time
habit, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
worker = subprocess.Popen(["sleep", "600"])
if habit == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if habit == "dies":
    print("first line"); print("\\x1b[31mlast\\x1b[0m words\\x07"); sys.exit(3)
if habit == "never":
    print("still loading", flush=True); time.sleep(600)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/health" and habit == "ill":
            self.send_error(503)
            return
        self.send_response(200); self.end_headers()
        self.wfile.write(json.dumps({"pid": os.getpid(), "worker": worker.pid, "env": dict(os.environ)}).encode())
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer((host, port), Handler).serve_forever()
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture
def watched(tmp_path):
    started = []

    def start(habit: str, timing: Timing = QUICK, **options) -> WatchedProcess:
        port = options.pop("port", None) or free_port()
        command = options.pop("command", None) or [sys.executable, "-c", SERVER, habit, "127.0.0.1", str(port)]
        env = {"PATH": os.environ["PATH"], "COLOUR": "blue"}
        started.append(WatchedProcess(command, env, "127.0.0.1", port, tmp_path / "judges" / "log", timing))
        return started[-1]

    yield start
    for process in started:
        process.close()


def until(condition, seconds: float = 240.0):
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return result


def about(process: WatchedProcess) -> dict:
    with urllib.request.urlopen(f"http://127.0.0.1:{process.port}/about", timeout=60) as answer:
        return json.load(answer)


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie that nobody has collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_a_process_gets_healthy_in_the_environment_it_was_given_and_close_leaves_nothing(watched):
    process = watched("answers")
    health = until(lambda: process.health() if process.health().healthy else None)
    assert (health.restarts, health.failure) == (0, "")
    facts = about(process)
    assert facts["env"]["COLOUR"] == "blue"
    assert "HOME" not in facts["env"]
    assert alive(facts["worker"])
    process.close()
    assert not any(alive(pid) for pid in (health.pid, facts["pid"], facts["worker"]))
    assert process.health().pid == 0


@pytest.mark.parametrize("victim", ["server", "guard"])
def test_a_killed_process_comes_back_at_its_port_without_leftovers(watched, victim):
    process = watched("answers")
    group = until(lambda: process.health().healthy and process.health().pid)
    before = about(process)
    os.kill(before["pid"] if victim == "server" else group, signal.SIGKILL)
    until(lambda: process.health().healthy and process.health().restarts == 1)
    after = about(process)
    assert after["pid"] != before["pid"]
    assert not alive(before["pid"])
    assert not alive(before["worker"])
    assert process.health().failure.startswith("ended with exit code ")


def test_a_process_that_stops_answering_is_ended_and_started_again(watched):
    process = watched("answers")
    until(lambda: process.health().healthy)
    before = about(process)
    os.kill(before["pid"], signal.SIGSTOP)
    until(lambda: process.health().healthy and process.health().restarts == 1)
    assert about(process)["pid"] != before["pid"]
    assert not alive(before["pid"])
    assert process.health().failure.startswith("no answer to 2 health checks in a row; ")


def test_a_process_that_minds_no_sigterm_is_ended_all_the_same(watched):
    process = watched("stubborn")
    until(lambda: process.health().healthy)
    facts = about(process)
    process.close()
    assert not alive(facts["pid"])
    assert not alive(facts["worker"])


def test_a_death_before_health_says_the_last_words(watched):
    process = watched("dies")
    assert until(lambda: process.health().failure).splitlines() == [
        f"ended with exit code 3 before it was healthy; the last lines of {process.log}:",
        "    first line",
        "    last words",
    ]


def test_restarts_wait_twice_as_long_each_time_up_to_a_bound(watched, tmp_path):
    note_the_time = "import sys, time; print(time.time(), file=open(sys.argv[1], 'a')); sys.exit(1)"
    times = tmp_path / "times"
    times.touch()
    command = [sys.executable, "-c", note_the_time, str(times)]
    watched("", Timing(20.0, first_delay=0.1, longest_delay=0.4), command=command)
    until(lambda: times.read_text().count("\n") >= 6)
    gaps = [after - before for before, after in pairwise(map(float, times.read_text().split()))]
    assert all(gap >= delay for gap, delay in zip(gaps, [0.1, 0.2, 0.4, 0.4, 0.4], strict=False))
    assert gaps[4] < 1.6  # the fifth of an unbounded sequence


@pytest.mark.parametrize("habit", ["never", "ill"])
def test_a_process_that_is_never_healthy_is_ended_at_its_deadline(watched, habit):
    process = watched(habit, Timing(1.0, end_deadline=1.0, first_delay=30.0))
    group = until(lambda: process.health().pid)
    failure = until(lambda: process.health().failure)
    assert failure.startswith("not healthy within start_deadline_s=1; ")
    assert ("still loading" in failure) == (habit == "never")
    assert not alive(group)
    process.close()  # at once, although the next start is half a minute away


def test_a_missing_command_is_named(watched):
    process = watched("", command=["no-such-vllm", "serve"])
    failure = until(lambda: process.health().failure)
    assert "cannot start 'no-such-vllm': No such file or directory" in failure
    assert failure.startswith("ended with exit code 127 before it was healthy")


def test_a_stranger_at_the_port_is_not_taken_for_the_process(watched):
    stranger = watched("answers")
    until(lambda: stranger.health().healthy)
    process = watched("answers", port=stranger.port)
    failure = until(lambda: process.health().failure)
    assert f"127.0.0.1:{stranger.port} cannot be listened at: Address already in use" in failure
    assert not process.health().healthy


OWNER = """
import os, sys, time
from pathlib import Path
from reward_servers.process import Timing, WatchedProcess
server, port, log = sys.argv[1:]
command = [sys.executable, "-c", server, "stubborn", "127.0.0.1", port]
WatchedProcess(command, os.environ, "127.0.0.1", int(port), Path(log), Timing(20.0))
time.sleep(600)
"""


@pytest.mark.parametrize("children_first", [False, True])
def test_nothing_outlives_an_owner_that_is_killed(tmp_path, children_first):
    """Ray ends an actor by killing its children and then it: among them would be what guards the server."""
    port = free_port()
    owner = subprocess.Popen([sys.executable, "-c", OWNER, SERVER, str(port), str(tmp_path / "log")])

    def facts():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/about", timeout=60) as answer:
                return json.load(answer)
        except OSError:
            return None

    found = until(facts)
    children = [
        int(pid)
        for task in Path(f"/proc/{owner.pid}/task").iterdir()
        for pid in (task / "children").read_text().split()
    ]
    assert children
    for pid in children if children_first else ():
        os.kill(pid, signal.SIGKILL)
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    until(lambda: not alive(found["pid"]) and not alive(found["worker"]), 60)
