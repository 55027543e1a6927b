import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from easyr1_fgrpo.verl_plugin.cpu import fork_client
from easyr1_fgrpo.verl_plugin.cpu.fork_server import forked_workers

LIGHT = """
import sys
from easyr1_fgrpo.verl_plugin.cpu import fork_server
fork_server.IMPORTED = ()
fork_server.main(int(sys.argv[1]))
"""
TELLS = """
import json, os, random, sys
print(json.dumps({"argv": sys.argv[1:], "name": __name__, "folder": os.getcwd(), "mine": os.environ.get("MINE"),
                  "parent": os.getppid(), "group": os.getpgid(0) == os.getpid(), "draw": random.random(),
                  "input": sys.stdin.read()}))
sys.exit(7)
"""


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "server"
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "forks"))
        listener.listen()
        process = subprocess.Popen(
            [sys.executable, "-c", LIGHT, str(listener.fileno())],
            stdin=subprocess.PIPE, pass_fds=[listener.fileno()],
        )  # fmt: skip
    process.path = str(folder / "forks")
    yield process
    process.terminate()
    process.wait()


def script(tmp_path, text):
    file = tmp_path / "script.py"
    file.write_text(text)
    return str(file)


def client(path, *command, **options):
    return subprocess.run(
        [sys.executable, "-I", "-S", fork_client.__file__, path, *command],
        capture_output=True, text=True, timeout=30, check=False, **options,
    )  # fmt: skip


def test_a_worker_has_the_arguments_environment_folder_and_files_of_its_client(server, tmp_path):
    folder = tmp_path / "there"
    folder.mkdir()
    done = client(
        server.path, script(tmp_path, TELLS), "--one", "two words", cwd=folder, env={"MINE": "yes"}, input="said"
    )
    told = json.loads(done.stdout)
    assert (done.returncode, told["argv"], told["name"]) == (7, ["--one", "two words"], "__main__")
    assert (told["folder"], told["mine"], told["input"]) == (str(folder), "yes", "said")
    assert told["parent"] == server.pid
    assert told["group"]


def test_workers_draw_different_random_numbers(server, tmp_path):
    file = script(tmp_path, TELLS)
    draws = {json.loads(client(server.path, file, input="").stdout)["draw"] for _ in range(3)}
    assert len(draws) == 3


def test_a_worker_that_is_killed_has_the_shells_code(server, tmp_path):
    file = script(tmp_path, "import os; os.kill(os.getpid(), 9)")
    assert client(server.path, file).returncode == 128 + signal.SIGKILL


def test_a_traceback_is_seen_and_fails(server, tmp_path):
    done = client(server.path, script(tmp_path, "raise ValueError('no such thing')"))
    assert done.returncode == 1
    assert "no such thing" in done.stderr


def test_a_client_that_goes_without_a_word_stops_nobody(server, tmp_path):
    with socket.socket(socket.AF_UNIX) as silent:
        silent.connect(server.path)
    assert client(server.path, script(tmp_path, TELLS), input="").returncode == 7


def test_without_a_server_the_client_is_the_worker(tmp_path):
    done = client(str(tmp_path / "none"), script(tmp_path, TELLS), "x", input="")
    assert (done.returncode, json.loads(done.stdout)["argv"]) == (7, ["x"])


def test_a_server_that_ends_before_it_forked_is_replaced_by_the_client(tmp_path):
    path = str(tmp_path / "forks")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        waiting = subprocess.Popen(
            [sys.executable, "-I", "-S", fork_client.__file__, path, script(tmp_path, TELLS)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        connection, _ = listener.accept()
        connection.close()
    output, _ = waiting.communicate(timeout=30)
    assert waiting.returncode == 7
    assert json.loads(output)["parent"] == os.getpid()


def test_the_server_ends_with_its_owner_and_leaves_nothing(server):
    server.communicate(timeout=10)
    assert server.returncode == 0
    assert not Path(server.path).parent.exists()


def test_ctrl_c_is_not_for_the_server(server, tmp_path):
    os.kill(server.pid, signal.SIGINT)
    assert client(server.path, script(tmp_path, TELLS), input="").returncode == 7


@pytest.mark.parametrize("seed", [None, "five", -1, 2**32])
def test_a_long_temporary_folder_and_no_seed_are_no_obstacle(tmp_path, monkeypatch, seed):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("a" * 100)))
    with forked_workers(seed) as command:
        assert command.split()[-1].startswith("/tmp/")


def test_workers_find_verls_imports_without_ray_and_hash_as_they_are_told(tmp_path):
    file = script(tmp_path, "import sys; print('transformers' in sys.modules, 'ray' in sys.modules, hash('a'))")
    expected = subprocess.run(
        [sys.executable, "-c", "print(hash('a'))"], env={"PYTHONHASHSEED": "3"}, capture_output=True, check=True
    )
    with forked_workers(3) as command:
        done = subprocess.run([*command.split(), file], capture_output=True, text=True, timeout=120, check=True)
        socket_path = Path(command.split()[-1])
        assert socket_path.parent.stat().st_mode & 0o077 == 0
    assert done.stdout.split() == ["True", "False", expected.stdout.decode().strip()]
    assert not socket_path.parent.exists()
