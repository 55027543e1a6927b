"""A picture goes to a server once, and a verdict never rests on a picture that nobody saw."""

import asyncio
import json
import time
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
from judge_endpoint import Script, judge_endpoint
from PIL import Image

from easyr1_fgrpo.judges.protocol import Failure, JudgeRequest, Label, Question
from easyr1_fgrpo.model_client import held

from .model_judge import CHOICE, CLAIM, RED, judging

pytestmark = pytest.mark.usefixtures("no_back_off")

PHOTOS = [Image.effect_noise((30, 20), 60).resize((300, 200 + n), Image.Resampling.BICUBIC) for n in range(3)]
PHOTO = PHOTOS[0]


def about(*images, n=24, **more):
    return [JudgeRequest(Question.GROUNDING, "?", images, claim=f"There are {i} birds.", **more) for i in range(n)]


def seeing(*sizes):
    """A model that says CORRECT where it sees pictures of these sizes."""

    def answer(case):
        seen = [image.size for image in case.images]
        label = Label.CORRECT if seen == list(sizes or [PHOTO.size]) else Label.INCORRECT
        return json.dumps([label] * len(case.requests)) if case.whole_rollout else label

    return answer


def script(names, *sizes, **more):
    return Script(answer=seeing(*sizes), names=names, **more)


async def all_correct(judge, requests):
    verdicts = await asyncio.gather(*map(judge.ask, requests))
    assert {verdict.label for verdict in verdicts} == {Label.CORRECT}, {verdict.cause for verdict in verdicts}
    return verdicts


async def test_a_picture_is_sent_once_to_each_server():
    with judge_endpoint(script("kept", delay_s=0.01)) as one, judge_endpoint(script("kept", delay_s=0.01)) as two:
        for servers in ([one], [one, two]):
            one.pictures.held.clear()
            one.pictures.sent = one.pictures.received = 0
            async with judging(*servers, concurrency=8) as judge:
                verdicts = await all_correct(judge, about(PHOTO, n=60))
            assert [server.pictures.sent for server in servers] == [1] * len(servers)
            assert {(verdict.usage.calls, verdict.usage.retries) for verdict in verdicts} == {(1, 0)}
    assert one.pictures.received / one.calls < 12_000  # the prompt; the picture is 60 kB
    assert one.most_at_once == 8


async def test_another_worker_need_not_send_it_again():
    with judge_endpoint(script("kept")) as server:
        for _ in range(2):
            async with judging(server) as judge:
                await all_correct(judge, about(PHOTO.copy()))
    assert server.pictures.sent == 1


async def test_several_pictures_and_whole_rollouts(subtests):
    for images, large in ((PHOTOS, 3), ([RED, PHOTO], 1), ([PHOTO, PHOTO], 1)):
        for per_rollout in (False, True):
            with (
                subtests.test(large=large, per_rollout=per_rollout),
                judge_endpoint(script("kept", *[image.size for image in images])) as server,
            ):
                async with judging(server, per_rollout=per_rollout) as judge:
                    for _ in range(2):
                        verdicts = await judge.ask_all(about(*images, n=6))
                        assert {verdict.label for verdict in verdicts} == {Label.CORRECT}
                assert len(server.pictures.held) == large
                assert RED in images or server.pictures.sent == len(images)


async def test_servers_that_do_not_know_names_are_sent_every_picture(subtests):
    for names in ("refused", "strict", "broken", "busy", "unseen"):
        with subtests.test(names), judge_endpoint(script(names)) as server:
            async with judging(server, concurrency=4) as judge:
                await all_correct(judge, about(PHOTO))
            asked_blindly = server.calls - 24
            assert (server.pictures.sent, server.pictures.refused, asked_blindly) == (
                (24, 0, 1) if names == "unseen" else (24, 1, 0)
            )


async def test_small_pictures_are_always_sent():
    with judge_endpoint(script("kept", RED.size)) as server:
        async with judging(server) as judge:
            await all_correct(judge, about(RED, n=5))
    assert (server.pictures.sent, server.pictures.refused) == (5, 0)


async def test_a_server_whose_cache_is_empty_again_is_sent_it_again():
    with judge_endpoint(script("kept")) as server:
        async with judging(server, concurrency=4) as judge:
            await all_correct(judge, about(PHOTO))
            server.pictures.held.clear()
            await all_correct(judge, about(PHOTO))
    assert 2 <= server.pictures.sent <= 1 + 4


async def test_a_server_restarted_in_mid_run_costs_no_verdict():
    with ExitStack() as running, judge_endpoint(script("kept")) as other:
        first = running.enter_context(judge_endpoint(script("kept", delay_s=0.05)))
        async with judging(first, other, concurrency=2) as judge:
            asked = [asyncio.create_task(judge.ask(request)) for request in about(PHOTO, n=200)]
            while first.calls < 5:
                await asyncio.sleep(0.01)
            running.close()
            with judge_endpoint(script("kept"), urlsplit(first.url).port) as again:
                verdicts = await asyncio.gather(*asked)
    assert {verdict.label for verdict in verdicts} == {Label.CORRECT}
    assert again.calls
    assert again.pictures.sent <= 2


async def test_what_comes_up_at_a_url_is_asked_anew_whether_it_knows_names(monkeypatch):
    monkeypatch.setattr(held, "KNOWN_FOR_S", 0.2)
    with judge_endpoint(script("kept")) as server:
        async with judging(server) as judge:
            await all_correct(judge, about(PHOTO, n=2))
            await asyncio.sleep(0.3)
            server.pictures.kind = "unseen"
            await all_correct(judge, about(PHOTO, n=2))
            assert server.calls == 2 + 2 + 1


async def test_what_failed_is_asked_anew_at_once():
    with judge_endpoint(script("kept")) as server:
        async with judging(server) as judge:
            await all_correct(judge, about(PHOTO, n=2))
            server.pictures.kind, server.script.first = "unseen", ["drop"]
            await all_correct(judge, about(PHOTO, n=1))
            assert server.calls == 2 + 1 + 1 + 1  # what failed, the question with no picture's name, the picture


async def test_a_name_that_is_refused_is_sent_as_a_picture():
    with judge_endpoint(script("kept")) as server:
        async with judging(server) as judge:
            await all_correct(judge, about(PHOTO, n=2))
            server.pictures.kind = "strict"
            await all_correct(judge, about(PHOTO, n=2))


async def test_a_server_that_forgets_at_once_is_sent_every_picture_in_the_end(monkeypatch, caplog):
    monkeypatch.setattr(held, "MISSES_TO_STOP", 5)
    with judge_endpoint(script("forgotten")) as server:
        async with judging(server, concurrency=1) as judge:
            await all_correct(judge, about(PHOTO, n=40))
    assert server.pictures.sent == 40
    assert server.pictures.refused == 1 + 6
    assert caplog.text.count("does not keep pictures") == 1


async def test_other_questions_go_on_while_a_picture_is_under_way():
    slow = script("kept", delay_s=0.2)
    with judge_endpoint(slow) as server:
        async with judging(server, concurrency=2) as judge:
            await all_correct(judge, about(PHOTO, n=1))
            waiting = [asyncio.create_task(judge.ask(request)) for request in about(PHOTOS[1], n=8)]
            await asyncio.sleep(0.05)
            started = time.monotonic()
            await all_correct(judge, about(PHOTO, n=2))
            assert time.monotonic() - started < 0.7  # of eight questions in the queue before them, seven wait apart
            await asyncio.gather(*waiting)
    assert server.most_at_once == 2


async def test_a_picture_that_does_not_arrive_holds_nobody_up_twice():
    with judge_endpoint(script("kept", first=["answer"] + ["hang"] * 100)) as server:
        async with judging(server, deadline_s=0.3, max_retries=0) as judge:
            await all_correct(judge, about(PHOTO, n=1))
            started = time.monotonic()
            verdicts = await asyncio.gather(*map(judge.ask, about(PHOTOS[1], n=16, limit_s=20.0)))
            assert time.monotonic() - started < 2.5
    assert {verdict.failure for verdict in verdicts} == {Failure.DEADLINE}


async def test_no_verdict_is_lost_or_blind_whatever_servers_do():
    faults = {"500": 0.05, "drop": 0.05, "429": 0.03, "broken": 0.03}
    with ExitStack() as running:
        servers = [
            running.enter_context(judge_endpoint(script(names, (300, 200), delay_s=0.01, shares=faults, seed=number)))
            for number, names in enumerate(("kept", "kept", "unseen", "forgotten"))
        ]
        async with judging(*servers, concurrency=4, max_retries=20) as judge:
            asked = [asyncio.create_task(judge.ask(request)) for _ in range(4) for request in about(PHOTO.copy(), n=40)]
            await asyncio.sleep(0.1)
            servers[0].pictures.held.clear()
            for task in asked[::20]:
                task.cancel()
            verdicts = await asyncio.gather(*asked, return_exceptions=True)
    assert {getattr(verdict, "label", None) for verdict in verdicts[1::2]} == {Label.CORRECT}
    assert {endpoint.busy for endpoint in judge._client._endpoints._endpoints} == {0}


async def test_who_stops_waiting_for_a_picture_leaves_it_to_the_others():
    with judge_endpoint(script("kept", delay_s=0.1)) as server:
        async with judging(server, concurrency=4) as judge:
            asked = [asyncio.create_task(judge.ask(request)) for request in about(PHOTO, n=6)]
            await asyncio.sleep(0.05)
            asked[0].cancel()
            asked[3].cancel()
            verdicts = await asyncio.gather(*asked, return_exceptions=True)
            assert [getattr(verdict, "label", None) for verdict in verdicts].count(Label.CORRECT) == 4
            await all_correct(judge, about(PHOTO, n=4))


async def test_verdicts_of_earlier_runs_are_known_still():
    """The key is of question and pixels, not of how they travel; computed before each picture was sent once."""
    keys = [
        "f827e87a29ba4b4635f7ea3e92bfdcb362509b78a8f032fdf29dc2f5b8bb7181",
        "70bfb9f0fd76ed0758615b08c6670c8a26d06d485e2c88fa160df6535085a1d6",
    ]
    known = []

    class Cache:
        async def get(self, key):
            known.append(key)

        async def put(self, key, labels, text):
            assert key == known[-1]

        async def close(self):
            pass

    with judge_endpoint() as server:
        async with judging(server, cache=Cache()) as judge:
            for request in (CLAIM, CHOICE):
                await judge.ask(request)
    assert known == keys
