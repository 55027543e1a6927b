"""Bodies that no model means: endless, huge by their own word, packed a thousandfold, or a byte a moment for ever."""

import gzip
import itertools
import time
import tracemalloc

import pytest
from flooding_server import flooding

from easyr1_fgrpo.judges.protocol import Failure
from easyr1_fgrpo.model_client.bodies import MAX_BODY
from easyr1_fgrpo.model_client.chat import CallFailed
from easyr1_fgrpo.model_client.client import Address, ModelClient
from easyr1_fgrpo.rewards.suite import _REASONS

from .model_judge import CLAIM, judging

pytestmark = pytest.mark.usefixtures("no_back_off")

SOME = b" " * (1 << 20)
BOMB = gzip.compress(SOME * 64)  # 64 kB


def endless():
    return itertools.repeat(SOME)


def trickling():
    while True:
        time.sleep(0.05)
        yield b" "


async def verdict_of(flood, **config):
    async with judging(flood.url, **config) as judge:
        return await judge.ask(CLAIM)


async def test_a_body_without_an_end_is_one_unmeasured_call_of_a_reason_of_its_own():
    for status in (200, 500, 429):
        with flooding(endless, status=status) as flood:
            tracemalloc.start()
            verdict = await verdict_of(flood)
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert (verdict.label, verdict.failure) == (None, Failure.OVERSIZED)
        assert f"{flood.url} sent a body without an end in its first 8," in verdict.cause
        assert flood.calls == verdict.usage.calls == 1
        assert most < 4 * MAX_BODY
    assert _REASONS[Failure.OVERSIZED].name == "JUDGE_OVERSIZED"


async def test_an_error_that_somebody_keeps_does_not_keep_the_body():
    with flooding(endless) as flood:
        async with ModelClient(Address((flood.url,)), concurrency=1, deadline_s=20.0) as model:
            tracemalloc.start()
            with pytest.raises(CallFailed, match="a body without an end") as failed:
                await model.complete(b"{}")
            held, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
    assert failed.value.oversized
    assert held < MAX_BODY / 4


async def test_a_body_that_says_it_is_huge_is_not_read():
    with flooding(endless, {"Content-Length": str(5 << 30)}) as flood:
        verdict = await verdict_of(flood)
    assert verdict.failure is Failure.OVERSIZED
    assert "sent a body of 5,368,709,120 bytes, and 8,388,608 are the most" in verdict.cause
    assert flood.sent < MAX_BODY  # what fits into buffers


async def test_a_packed_bomb_ends_at_the_limit():
    headers = {"Content-Encoding": "gzip", "Content-Length": str(len(BOMB))}
    with flooding(lambda: [BOMB], headers) as flood:
        tracemalloc.start()
        verdict = await verdict_of(flood)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert verdict.failure is Failure.OVERSIZED
    assert flood.calls == 1
    assert most < 4 * MAX_BODY


async def test_a_body_that_trickles_ends_with_the_calls_deadline():
    with flooding(trickling) as flood:
        verdict = await verdict_of(flood, deadline_s=0.3, max_retries=0)
    assert verdict.failure is Failure.DEADLINE
    assert "gave no answer within 0.3 s" in verdict.cause


async def test_an_evaluated_model_and_its_list_of_models_are_read_no_further_either():
    with flooding(endless) as flood:
        async with ModelClient(Address((flood.url,)), concurrency=1, deadline_s=20.0) as model:
            with pytest.raises(CallFailed, match="a body without an end") as failed:
                await model.complete(b"{}")
            assert (failed.value.oversized, failed.value.again) == (True, False)
            with pytest.raises(Exception, match=r"cannot be asked: .* a body without an end"):
                await model.served_name()
    assert flood.calls == 2


async def test_json_of_any_shape_is_no_completion():
    """Nested beyond any stack, and numbers beyond any digit."""
    for body in (b"[" * 1_000_000, b'{"choices": ' + b"9" * 1_000_000 + b"}", b'{"a":' * 200_000):
        with flooding(lambda body=body: [body], {"Content-Length": str(len(body))}) as flood:
            verdict = await verdict_of(flood, max_retries=0)
        assert verdict.failure is Failure.UNREACHABLE
        assert "answered with no chat completion" in verdict.cause
