import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from urllib.request import urlopen

import pytest

from easyr1_fgrpo.checkpoints import CheckpointError
from easyr1_fgrpo.evaluation.answers.launch import served

FAKE_VLLM = """\
#!{python}
import http.server, sys, pathlib
pathlib.Path({seen!r}).write_text(" ".join(sys.argv[1:]))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
"""


@pytest.fixture
def vllm(tmp_path, monkeypatch):
    """An executable `vllm` that is always healthy; the file in which it leaves its arguments."""
    seen = tmp_path / "arguments"
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "vllm"
    script.write_text(FAKE_VLLM.format(python=sys.executable, seen=str(seen)))
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return seen


def answers(url):
    try:
        with urlopen(url.replace("/v1", "/health"), timeout=2.0) as response:
            return response.status == 200
    except OSError:
        return False


async def test_vllm_serves_where_it_is_installed_and_is_gone_afterwards(vllm, tmp_path):
    async with served(tmp_path / "model", "mine", tmp_path / "log") as address:
        (url,) = address.urls
        assert answers(url)
        assert address.served == "mine"
        port = url.split(":")[2].removesuffix("/v1")
        expected = f"serve {tmp_path / 'model'} --host 127.0.0.1 --port {port} --served-model-name mine"
        assert vllm.read_text() == expected
    assert not answers(url)


async def test_a_checkpoint_that_cannot_be_served_is_one_line(checkpoint, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(checkpoint, folder)
    (folder / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match=r"copy cannot be served; the last lines of .*log: .*Error"):
        async with served(folder, "mine", tmp_path / "log"):
            pass


def test_the_server_ends_with_a_killed_evaluation(vllm, tmp_path):
    program = textwrap.dedent(f"""
        import asyncio, pathlib
        from easyr1_fgrpo.evaluation.answers.launch import served
        async def main():
            folder = pathlib.Path({str(tmp_path)!r})
            async with served(folder / "model", "mine", folder / "log") as address:
                print(address.urls[0], flush=True)
                await asyncio.sleep(60)
        asyncio.run(main())
    """)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().strip()
        assert answers(url)
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 240
    while answers(url):
        assert time.monotonic() < deadline
        time.sleep(0.1)
