# A hub on loopback that speaks as much of the Hugging Face hub's protocol as a download needs.
import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from source_files import make_sources

from data_prep.shards import read_rows, read_summary

COMMIT = "0" * 39 + "1"


@pytest.fixture
def hub(tmp_path):
    """Repositories are folders below tmp_path/hub: owner/name/files."""
    root, asked = tmp_path / "hub", []

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.do_GET()

        def do_GET(self):
            path = self.path.partition("?")[0]
            asked.append(path)
            if path.startswith("/api/datasets/"):
                self._answer(*self._listing(path.split("/")))
            elif "/resolve/" in path:
                repository, _, name = path.removeprefix("/datasets/").partition("/resolve/")
                file = root / repository / name.partition("/")[2]
                self._answer(200, file.read_bytes()) if file.is_file() else self._answer(404, b"")
            else:
                self._answer(404, b"")

        def _listing(self, parts):
            folder = root / parts[3] / parts[4]
            if not folder.is_dir():
                return 404, b"{}"
            names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
            if "tree" in parts:
                files = [
                    {"type": "file", "path": n, "size": (folder / n).stat().st_size, "oid": "0" * 40} for n in names
                ]
                return 200, json.dumps(files).encode()
            siblings = [{"rfilename": name} for name in names]
            return 200, json.dumps({"id": "/".join(parts[3:5]), "sha": COMMIT, "siblings": siblings}).encode()

        def _answer(self, status, body):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", root, asked
    server.shutdown()
    thread.join(10)
    server.server_close()


def normalise(url, tmp_path, *arguments):
    environment = {**os.environ, "HF_ENDPOINT": url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    environment.pop("HF_HUB_OFFLINE", None)
    command = [sys.executable, "-m", "easyr1_fgrpo", "data", "normalise", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)


def test_a_source_and_its_pictures_come_from_the_hub(hub, tmp_path):
    url, root, asked = hub
    make_sources(tmp_path / "sources", rows=4)
    for name, repository in {"vgr": "BytedanceDouyinContent/VGR", "llava": "lmms-lab/LLaVA-NeXT-Data"}.items():
        (root / repository).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sources" / name).rename(root / repository)
    (root / "BytedanceDouyinContent/VGR/large.bin").write_bytes(b"not asked for")
    done = normalise(url, tmp_path, "vgr", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("vgr: in 4 = out 4 + rejected 0\n")
    assert read_summary(tmp_path / "out")["hub"] == "BytedanceDouyinContent/VGR"
    assert len(list(read_rows(tmp_path / "out"))) == 4
    assert not [path for path in asked if "large.bin" in path]


def test_a_repository_that_is_not_there_is_one_line(hub, tmp_path):
    url, _, _ = hub
    done = normalise(url, tmp_path, "sat", "--location", "no/such", "--out", tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: no/such: cannot be read from the hub (")
    assert "Traceback" not in done.stderr
