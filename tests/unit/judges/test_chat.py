"""Which way a call takes: straight, or by the proxy that the environment names."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from easyr1_fgrpo.judges.chat import CallFailed, ChatClient

COMPLETION = json.dumps({"choices": [{"message": {"content": "YES"}, "finish_reason": "stop"}]}).encode()


@contextmanager
def listening():
    """A server that answers whatever it is asked, and what it was asked: (target, headers) of each call."""
    calls = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            calls.append((self.path, dict(self.headers)))
            self.send_response(200)
            self.send_header("Content-Length", str(len(COMPLETION)))
            self.end_headers()
            self.wfile.write(COMPLETION)

        def log_message(self, *unused):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", calls
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


async def asked(url, times=1):
    client = ChatClient()
    try:
        return [await client.complete(url, b"{}", 10.0) for _ in range(times)]
    finally:
        await client.close()


async def test_without_a_proxy_the_server_is_asked():
    with listening() as (place, calls):
        (reply,) = await asked(f"http://{place}/v1")
    assert reply.text == "YES"
    assert [target for target, _ in calls] == ["/v1/chat/completions"]


async def test_the_environments_proxy_is_taken_with_its_password(monkeypatch):
    with listening() as (place, calls):
        monkeypatch.setenv("http_proxy", f"http://me:secret@{place}")
        await asked("http://judge.example/v1", times=2)
    assert [target for target, _ in calls] == ["http://judge.example/v1/chat/completions"] * 2
    assert all(headers["Proxy-Authorization"] == "Basic bWU6c2VjcmV0" for _, headers in calls)
    assert all(headers["Authorization"] == "Bearer none" for _, headers in calls)


async def test_no_proxy_where_the_environment_wants_none(monkeypatch):
    with listening() as (place, calls), listening() as (proxy, of_proxy):
        monkeypatch.setenv("http_proxy", f"http://{proxy}")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        await asked(f"http://{place}/v1")
    assert len(calls) == 1
    assert of_proxy == []


async def test_a_dead_proxy_is_a_failed_call_without_its_password(monkeypatch):
    with listening() as (place, _):
        pass
    monkeypatch.setenv("http_proxy", f"http://me:secret@{place}")
    with pytest.raises(CallFailed) as failed:
        await asked("http://judge.example/v1")
    assert "secret" not in str(failed.value)
    assert not failed.value.sent


async def test_a_netrc_has_no_say(monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with listening() as (place, calls):
        await asked(f"http://{place}/v1")
    assert calls[0][1]["Authorization"] == "Bearer none"
