"""Speed of the model judge against a real server in another process: beside the bare client, and under latency."""

import asyncio
import json
import math
import statistics
import time

import openai
import pytest
from judge_endpoint import judge_process
from PIL import Image

from easyr1_fgrpo.config.judges import ModelJudgeConfig
from easyr1_fgrpo.judges.openai_compatible import OpenAICompatibleJudge
from easyr1_fgrpo.judges.prompt import Prompt
from easyr1_fgrpo.judges.protocol import JudgeRequest, Label, Question
from easyr1_fgrpo.model_client.chat import ChatClient
from easyr1_fgrpo.pictures import data_url, wire_png

CONCURRENCY = 64
PICTURE = Image.effect_noise((84, 84), 60).convert("RGB")
PHOTO = Image.effect_noise((256, 256), 60).resize((1024, 1024), Image.Resampling.BICUBIC)  # 1.6 MB as a data URL


def requests(n):
    """The questions about rollouts of eight sentences."""
    sentence = "The red circle is at <bbox>[10,12,30,34]</bbox>. "
    return [
        JudgeRequest(
            Question.GROUNDING,
            "Is the red circle left or right of the blue square?\nA. left\nB. right",
            (PICTURE,),
            context=sentence * (number % 8),
            claim=f"The red circle is left of the blue square, I think for the {number}th time.",
        )
        for number in range(n)
    ]


async def by_workers(call, items):
    """Call with every item, `CONCURRENCY` at a time."""
    waiting = iter(items)

    async def work():
        for item in waiting:
            await call(item)

    await asyncio.gather(*(work() for _ in range(CONCURRENCY)))


@pytest.fixture
def runner():
    with asyncio.Runner() as runner:
        yield runner


def package(url):
    return openai.AsyncOpenAI(api_key="none", base_url=url, max_retries=0, http_client=openai.DefaultAioHttpClient())


def make_judge(url):
    async def urls():
        return [url]

    config = ModelJudgeConfig(kind="openai_compatible", model="m", base_urls=[url], concurrency=CONCURRENCY)
    return OpenAICompatibleJudge(config, urls=urls)


async def assert_correct(judge, request):
    assert (await judge.ask(request)).label is Label.CORRECT


def test_as_fast_as_the_client_alone(benchmark, runner):
    calls = 1500
    asked, prompt = requests(calls), Prompt.load(Question.GROUNDING)
    with judge_process() as (url, _):
        judge = make_judge(url)
        client = package(url)
        data_url = runner.run(judge._images.data_url(PICTURE))
        bodies = [prompt.messages([request], lambda image: data_url) for request in asked]
        structure, loop = prompt.structure(1), runner.get_loop()
        seconds = {"ours": math.inf, "bare": math.inf}

        async def ours(request):
            await assert_correct(judge, request)

        async def bare(messages):
            completion = await client.chat.completions.create(
                model="m",
                messages=messages,
                temperature=0.0,
                max_tokens=8,
                extra_body={"structured_outputs": structure},
            )
            assert completion.choices[0].message.content == "CORRECT"

        def timed(name, call, items):
            started = loop.time()
            runner.run(by_workers(call, items))
            seconds[name] = min(seconds[name], loop.time() - started)

        benchmark.pedantic(
            lambda: timed("ours", ours, asked),
            setup=lambda: timed("bare", bare, bodies),  # between our rounds: a shared machine disturbs both alike
            rounds=5,
        )
        runner.run(judge.close())
        runner.run(client.close())
    rate, bare_rate = calls / seconds["ours"], calls / seconds["bare"]
    benchmark.extra_info |= {"calls_per_s": rate, "calls_per_s_of_the_bare_client": bare_rate}
    assert rate >= 0.8 * bare_rate
    assert rate >= 400.0


def test_latency_is_hidden_by_concurrency(benchmark, runner):
    calls, latency_s = 576, 0.3  # 64 rollouts of eight sentences and an answer
    ideal_s = calls / CONCURRENCY * latency_s
    with judge_process("--delay", str(latency_s)) as (url, _):
        judge = make_judge(url)
        asked = requests(calls)
        runner.run(assert_correct(judge, asked[0]))

        async def all_at_once():
            await asyncio.gather(*(assert_correct(judge, request) for request in asked))

        benchmark.pedantic(lambda: runner.run(all_at_once()), rounds=3)
        runner.run(judge.close())
    benchmark.extra_info["times_the_ideal"] = benchmark.stats.stats.min / ideal_s
    assert benchmark.stats.stats.min < 1.25 * ideal_s


def test_the_package_costs_more_than_our_transport(benchmark, runner):
    """Pictures of 1,024 px, answers after 200 ms: within 10 % of rate and processor time the package would own this."""
    calls, url_of_photo, prompt = 192, data_url(wire_png(PHOTO)), Prompt.load(Question.GROUNDING)
    asked = requests(calls)
    messages = [prompt.messages([request], lambda image: url_of_photo) for request in asked]
    bodies = [
        json.dumps({"model": "m", "messages": prompt.messages([request], lambda image: "PHOTO")}) for request in asked
    ]
    rates, processor_ms = {"ours": [], "package": []}, {"ours": [], "package": []}

    def timed(name, call):
        started, used = time.perf_counter(), time.process_time()
        runner.run(by_workers(call, range(calls)))
        rates[name].append(calls / (time.perf_counter() - started))
        processor_ms[name].append(1e3 * (time.process_time() - used) / calls)

    with judge_process("--delay", "0.2") as (url, _):
        transport, client = ChatClient(), package(url)

        async def ours(number):
            body = bodies[number].encode().replace(b'"PHOTO"', f'"{url_of_photo}"'.encode())
            assert (await transport.complete(url, body, 60.0)).text == "CORRECT"

        async def theirs(number):
            completion = await client.chat.completions.create(model="m", messages=messages[number])
            assert completion.choices[0].message.content == "CORRECT"

        timed("ours", ours), timed("package", theirs)
        for figures in (rates, processor_ms):
            figures["ours"].clear(), figures["package"].clear()
        benchmark.pedantic(
            lambda: timed("ours", ours), setup=lambda: timed("package", theirs), rounds=5
        )  # one of each in turn: a shared machine disturbs both alike
        runner.run(transport.close())
        runner.run(client.close())
    rate, processor = (
        statistics.median(theirs / ours for ours, theirs in zip(figures["ours"], figures["package"], strict=True))
        for figures in (rates, processor_ms)
    )
    benchmark.extra_info |= {
        "package_rate_over_ours": rate,
        "package_processor_time_over_ours": processor,
        "processor_ms_per_call": {name: statistics.median(times) for name, times in processor_ms.items()},
        "calls_per_s": {name: statistics.median(times) for name, times in rates.items()},
    }
    assert rate < 0.9 or processor > 1.1, "the package is as good: let it own the transport"
