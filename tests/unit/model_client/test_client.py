import asyncio
import json
import socket
import time

import pytest
from model_endpoint import Model, scripted
from plain_server import answering

from easyr1_fgrpo.model_client.chat import CallFailed
from easyr1_fgrpo.model_client.client import ATTEMPTS, Address, ModelClient, ModelGone

BODY = json.dumps({"model": "a-model", "messages": [{"role": "user", "content": "hello"}]}).encode()


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    """Repetitions come at once; how long they wait is the library's."""
    monkeypatch.setattr("easyr1_fgrpo.model_client.retrying.FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr("easyr1_fgrpo.model_client.endpoints.FIRST_COOL_DOWN_S", 0.05)
    monkeypatch.setattr("easyr1_fgrpo.model_client.endpoints.LAST_COOL_DOWN_S", 0.05)


def client(*urls, patience_s=1.0, deadline_s=5.0, **options):
    return ModelClient(Address(urls, **options), concurrency=8, deadline_s=deadline_s, patience_s=patience_s)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


async def test_an_answer_comes_with_its_length_and_why_it_ended():
    with scripted(Model(answer=str.upper, finish_reason="length")) as model:
        async with client(model.url) as asked:
            reply = await asked.complete(BODY)
    assert (reply.text, reply.finish_reason, reply.completion_tokens) == ("HELLO", "length", 7)


async def test_a_refusal_is_not_repeated():
    with scripted(Model(answer=lambda text: 413)) as model:
        async with client(model.url) as asked:
            with pytest.raises(CallFailed, match=r"answered 413: .*status 413"):
                await asked.complete(BODY)
        assert model.asked == 1


async def test_a_server_that_fails_at_a_request_is_asked_a_few_times():
    with scripted(Model(answer=lambda text: 500)) as model:
        async with client(model.url, patience_s=60.0) as asked:
            with pytest.raises(CallFailed, match="answered 500"):
                await asked.complete(BODY)
        assert model.asked == ATTEMPTS


async def test_a_passing_error_passes():
    said = iter([429, 503, "at last"])
    with scripted(Model(answer=lambda text: next(said))) as model:
        async with client(model.url) as asked:
            assert (await asked.complete(BODY)).text == "at last"


async def test_a_server_that_is_away_is_waited_for():
    port = free_port()
    async with client(f"http://127.0.0.1:{port}/v1", patience_s=30.0) as asked:
        calls = [asyncio.create_task(asked.complete(BODY)) for _ in range(20)]
        await asyncio.sleep(0.2)
        assert not any(call.done() for call in calls)
        with scripted(Model(answer=lambda text: "back"), port=port):
            assert {(await call).text for call in calls} == {"back"}


async def test_a_server_that_stays_away_is_gone():
    started = time.monotonic()
    async with client(f"http://127.0.0.1:{free_port()}/v1", patience_s=0.5) as asked:
        with pytest.raises(ModelGone, match=r"127\.0\.0\.1:\d+/v1 cannot be asked"):
            await asked.complete(BODY)
    assert time.monotonic() - started >= 0.5


async def test_another_url_answers_instead_of_a_dead_one():
    with scripted(Model(answer=lambda text: "alive")) as model:
        async with client(f"http://127.0.0.1:{free_port()}/v1", model.url) as asked:
            assert {(await asked.complete(BODY)).text for _ in range(5)} == {"alive"}


async def test_the_only_model_needs_no_name():
    with scripted(Model()) as model:
        async with client(model.url) as asked:
            assert await asked.served_name() == "a-model"


async def test_a_model_that_is_not_clear_is_asked_for():
    for served, wanted, said in [
        (("a", "b"), "", "serves 2 models: name one by served=MODEL"),
        (("a",), "c", "does not serve 'c', it serves 'a'$"),
    ]:
        with scripted(Model(served=served)) as model:
            async with client(model.url, served=wanted) as asked:
                with pytest.raises(ModelGone, match=said):
                    await asked.served_name()


async def test_many_foreign_names_stay_in_bounds():
    with scripted(Model(served=("\x1b[31m" + "x" * 10_000, *(f"m{number}" for number in range(500))))) as model:
        async with client(model.url, served="c") as asked:
            with pytest.raises(ModelGone) as gone:
                await asked.served_name()
    assert "and 481 more" in str(gone.value)
    assert len(str(gone.value)) < 500
    assert "\x1b" not in str(gone.value)


async def test_a_server_that_is_away_is_waited_for_before_its_models_are_known():
    port = free_port()
    async with client(f"http://127.0.0.1:{port}/v1", patience_s=30.0) as asked:
        name = asyncio.create_task(asked.served_name())
        await asyncio.sleep(0.2)
        assert not name.done()
        with scripted(Model(), port=port):
            assert await name == "a-model"


async def test_a_server_without_a_list_needs_a_name():
    with answering(b"no such page", 404) as server:
        async with client(server.url) as asked:
            with pytest.raises(ModelGone, match="does not list its models: name one by served=MODEL"):
                await asked.served_name()
        async with client(server.url, served="mine") as asked:
            assert await asked.served_name() == "mine"


async def test_a_list_that_is_none_is_no_model():
    for content in (b"<html>", b"{}", b'{"data": [1]}', b"[" * 100_000):
        with answering(content) as server:
            async with client(server.url, patience_s=0.0) as asked:
                with pytest.raises(ModelGone, match="answered with no list of models"):
                    await asked.served_name()


async def test_the_key_comes_from_the_environment_and_is_never_shown(monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "sesame-42")
    with scripted(Model(answer=lambda text: 403, key="sesame-42")) as model:
        async with client(model.url, api_key_env="SECRET_KEY") as asked:
            assert await asked.served_name() == "a-model"
            with pytest.raises(CallFailed) as refused:
                await asked.complete(BODY)
            assert "sesame-42" not in f"{refused.value} {asked.address!r} {asked!r}"
        async with client(model.url, api_key_env="") as asked:
            with pytest.raises(ModelGone, match=r"answered 401: .*; name a key by api_key_env, of a model by key="):
                await asked.served_name()
    monkeypatch.delenv("SECRET_KEY")
    async with client(model.url, api_key_env="SECRET_KEY") as asked:
        with pytest.raises(ModelGone, match=r"SECRET_KEY \(api_key_env\) is not set here"):
            await asked.served_name()
        with pytest.raises(ModelGone, match="SECRET_KEY"):
            await asked.complete(BODY)
