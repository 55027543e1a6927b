"""Which way a call takes: straight, or by the proxy that the environment names."""

import json

import pytest
from plain_server import answering

from easyr1_fgrpo.model_client.chat import CallFailed, ChatClient

COMPLETION = json.dumps({"choices": [{"message": {"content": "YES"}, "finish_reason": "stop"}]}).encode()


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
    with answering(COMPLETION) as server:
        (reply,) = await asked(server.url)
    assert reply.text == "YES"
    assert [target for target, _ in server.calls] == ["/v1/chat/completions"]


async def test_the_environments_proxy_is_taken_with_its_password(monkeypatch):
    with answering(COMPLETION) as proxy:
        monkeypatch.setenv("http_proxy", f"http://me:secret@{proxy.address}")
        await asked("http://judge.example/v1", times=2)
    assert [target for target, _ in proxy.calls] == ["http://judge.example/v1/chat/completions"] * 2
    assert all(headers["Proxy-Authorization"] == "Basic bWU6c2VjcmV0" for _, headers in proxy.calls)
    assert all(headers["Authorization"] == "Bearer none" for _, headers in proxy.calls)


async def test_no_proxy_where_the_environment_wants_none(monkeypatch):
    with answering(COMPLETION) as server, answering(COMPLETION) as proxy:
        monkeypatch.setenv("http_proxy", f"http://{proxy.address}")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        await asked(server.url)
    assert len(server.calls) == 1
    assert proxy.calls == []


async def test_a_dead_proxy_is_a_failed_call_without_its_password(monkeypatch):
    with answering(COMPLETION) as proxy:
        pass
    monkeypatch.setenv("http_proxy", f"http://me:secret@{proxy.address}")
    with pytest.raises(CallFailed) as failed:
        await asked("http://judge.example/v1")
    assert "secret" not in str(failed.value)
    assert not failed.value.sent


async def test_a_netrc_has_no_say(monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with answering(COMPLETION) as server:
        await asked(server.url)
    assert server.calls[0][1]["Authorization"] == "Bearer none"
