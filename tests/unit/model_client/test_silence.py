import asyncio
import math

import pytest
from clock import run

from easyr1_fgrpo.model_client.silence import Silence


async def server(silence, signs, every_s):
    for _ in range(signs):
        await asyncio.sleep(every_s)
        silence.end()


@pytest.mark.parametrize(("signs", "most_s", "lasted_s"), [(0, 60.0, 60.0), (10, 60.0, 560.0), (10, 40.0, 40.0)])
def test_a_block_lasts_until_the_silence_is_too_long(signs, most_s, lasted_s):
    """A sign of life every 50 s, then none."""

    async def main():
        silence, started = Silence(), asyncio.get_running_loop().time()
        answering = asyncio.create_task(server(silence, signs, 50.0))
        with pytest.raises(TimeoutError):
            async with silence.bearable(most_s, started):
                await asyncio.Event().wait()
        answering.cancel()
        return asyncio.get_running_loop().time() - started

    assert run(main) == pytest.approx(lasted_s, abs=20.0)


def test_a_block_that_is_over_is_left_alone():
    async def main():
        silence, started = Silence(), asyncio.get_running_loop().time()
        for most_s in (1.0, math.inf):
            async with silence.bearable(most_s, started):
                await asyncio.sleep(0.5 if most_s < math.inf else 1e6)
        await asyncio.sleep(100.0)
        assert silence.seconds(started) > 1e6
        silence.end()
        assert silence.seconds(started) < 20.0

    run(main)


def test_silence_before_the_question_is_not_the_questions():
    """A server that nobody asked for an hour is not silent."""

    async def main():
        silence = Silence()
        silence.end()
        await asyncio.sleep(3600.0)
        started = asyncio.get_running_loop().time()
        async with silence.bearable(60.0, started):
            await asyncio.sleep(30.0)

    run(main)
