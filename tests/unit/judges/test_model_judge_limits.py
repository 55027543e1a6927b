"""How many calls are under way, and which settings are refused."""

import asyncio
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judge_endpoint import Script, all_true, judge_endpoint

from easyr1_fgrpo.config.judges import ModelJudgeConfig
from easyr1_fgrpo.config.load import ConfigError, load_config, read_settings
from easyr1_fgrpo.judges import openai_compatible
from easyr1_fgrpo.judges.openai_compatible import OpenAICompatibleJudge
from easyr1_fgrpo.judges.protocol import Failure, Question

from .model_judge import CHOICE, CLAIM, judging

pytestmark = pytest.mark.usefixtures("no_back_off")


@contextmanager
def endpoint_of(together):
    """A server that holds its first replies until so many calls are under way at once."""
    enough = asyncio.Event()

    async def answer(case):
        if server.at_once >= together:
            enough.set()
        await enough.wait()
        return all_true(case)

    with judge_endpoint(Script(answer=answer)) as server:
        yield server


async def test_the_limit_holds_per_url():
    with endpoint_of(5) as first, endpoint_of(5) as second:
        async with judging(first, second, concurrency=5) as judge:
            await asyncio.gather(*(judge.ask(CLAIM) for _ in range(60)))
    assert first.most_at_once == second.most_at_once == 5
    assert first.calls + second.calls == 60


async def test_a_large_limit_is_not_cut_by_the_connection_pool():
    with endpoint_of(120) as server:
        async with judging(server, concurrency=120) as judge:
            await asyncio.gather(*(judge.ask(CLAIM) for _ in range(130)))
    assert server.most_at_once == 120


async def test_workers_share_the_limit():
    with endpoint_of(5) as server:
        async with (
            judging(server, concurrency=5, share=(0, 2)) as one,
            judging(server, concurrency=5, share=(1, 2)) as two,
        ):
            await asyncio.gather(*(judge.ask(CLAIM) for judge in (one, two) for _ in range(20)))
    assert server.most_at_once == 5


@given(st.integers(1, 200), st.integers(1, 50))
def test_shares_add_up(concurrency, workers):
    if concurrency < workers:
        with pytest.raises(
            ValueError, match=rf"concurrency={concurrency}: {workers} reward workers.*set it to {workers}"
        ):
            openai_compatible._share_of(concurrency, 0, workers)
    else:
        shares = [openai_compatible._share_of(concurrency, worker, workers) for worker in range(workers)]
        assert sum(shares) == concurrency
        assert max(shares) - min(shares) <= 1


async def test_a_judge_of_one_question():
    config = ModelJudgeConfig(kind="openai_compatible", model="m", base_urls=["http://a/v1"])
    judge = OpenAICompatibleJudge(config, urls=None, questions=[Question.GROUNDING])
    verdict = await judge.ask(CHOICE)
    assert (verdict.failure, verdict.cause) == (Failure.UNREACHABLE, "this judge was built without consistency prompt")


def test_a_prompt_that_cannot_be_used_is_refused(tmp_path):
    config = ModelJudgeConfig(
        kind="openai_compatible", model="m", base_urls=["http://a"], prompt=str(tmp_path / "none.jinja")
    )
    with pytest.raises(ValueError, match=r"none\.jinja"):
        OpenAICompatibleJudge(config, urls=None)


def test_parameters_that_are_ours_are_refused():
    for name in ["model", "messages", "stream", "structured_outputs", "n"]:
        with pytest.raises(ValueError, match=rf"{name}: this field is set from other keys; remove it"):
            ModelJudgeConfig(kind="openai_compatible", model="m", base_urls=["http://a"], parameters={name: 1})


def test_a_key_in_the_place_of_its_variables_name_is_refused_and_not_shown():
    key = "sk-abcdef123456"
    settings = {"model": "m", "base_urls": ["http://a"], "kind": "openai_compatible", "api_key_env": key}
    config = load_config(["judge=conclusion", "+fgrpo.judges.grounding=" + str(settings).replace("'", "")])
    with pytest.raises(ConfigError) as refused:
        read_settings(config)
    assert refused.value.lines[0].startswith("fgrpo.judges.grounding.api_key_env: Input should be the name of an env")
    assert key not in str(refused.value)
