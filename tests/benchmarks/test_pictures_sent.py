"""What a verdict about a photograph of 1,024 px costs on its way: bytes, and processor time of the client.

Beside each other in one run: every picture as PNG with every question, as it was; the least file with every question,
for servers that keep no pictures; once, for one that does; and the bound, the same questions without pictures.
"""

import asyncio
import json
import statistics
import time
from urllib.request import ProxyHandler, build_opener

from judge_endpoint import judge_process
from photographs import photograph

from easyr1_fgrpo.config.judges import ModelJudgeConfig
from easyr1_fgrpo.judges.openai_compatible import OpenAICompatibleJudge
from easyr1_fgrpo.judges.protocol import JudgeRequest, Label, Question
from easyr1_fgrpo.model_client import pictures
from easyr1_fgrpo.pictures import wire_png

ROLLOUTS, SENTENCES, ROUNDS = 5, 8, 3
PHOTOS = [photograph(seed) for seed in range(4)]
VERDICTS = len(PHOTOS) * ROLLOUTS * SENTENCES
TRACE = "The red circle is at <bbox>[10,12,30,34]</bbox>, left of the blue square. "


def requests(pictured):
    """Of a step's rollouts, each of which reads its picture anew."""
    rollouts = [photo.copy() for photo in PHOTOS for _ in range(ROLLOUTS)]
    return [
        JudgeRequest(
            Question.GROUNDING,
            "Is the red circle left or right of the blue square?\nA. left\nB. right",
            (image,) if pictured else (),
            context=TRACE * number,
            claim=f"{TRACE}, I think for the {rollout}th time.",
        )
        for rollout, image in enumerate(rollouts)
        for number in range(SENTENCES)
    ]


def received(url):
    with build_opener(ProxyHandler({})).open(f"{url.removesuffix('/v1')}/pictures") as reply:
        return json.load(reply)["received"]


async def measured(url, pictured=True):
    """Bytes and milliseconds of processor time a verdict."""

    async def urls():
        return [url]

    config = ModelJudgeConfig(kind="openai_compatible", model="m", base_urls=[url], concurrency=64)
    judge, asked, before = OpenAICompatibleJudge(config, urls=urls), requests(pictured), received(url)
    used = time.process_time()
    verdicts = await asyncio.gather(*map(judge.ask, asked))
    used = time.process_time() - used
    await judge.close()
    assert {verdict.label for verdict in verdicts} == {Label.CORRECT}
    return (received(url) - before) / VERDICTS, 1e3 * used / VERDICTS


def test_a_picture_is_sent_once(benchmark, row, monkeypatch):
    kilobytes, milliseconds = {}, {}

    def note(name, *given):
        received_bytes, used_ms = asyncio.run(measured(*given))
        kilobytes.setdefault(name, []).append(received_bytes / 1e3)
        milliseconds.setdefault(name, []).append(used_ms)

    def as_it_was(url):
        with monkeypatch.context() as patch:
            patch.setattr(pictures, "judged_file", lambda image: (wire_png(image), "image/png"))
            note("before", url)

    def each_way():
        with judge_process("--delay", "0.05") as (url, _):
            as_it_was(url)
            note("other servers", url)
            note("bound", url, False)
        with judge_process("--delay", "0.05", "--names", "kept") as (url, _):
            note("now", url)

    benchmark.pedantic(each_way, rounds=ROUNDS)
    sizes, times = (
        {name: statistics.median(figures) for name, figures in each.items()} for each in (kilobytes, milliseconds)
    )
    benchmark.extra_info |= {"kilobytes_a_verdict": sizes, "processor_ms_a_verdict": times}
    for what, way in (("a server that keeps pictures (vLLM)", "now"), ("any other server", "other servers")):
        kb, ms = (f"{sizes[way]:.0f} kB", f"{times[way]:.1f} ms")
        row(
            f"a verdict about a photograph of 1,024 px at {what}, on the wire and of the client's core",
            f"{kb}, {ms}",
            before=f"{sizes['before']:.0f} kB, {times['before']:.1f} ms",
            bound=f"{sizes['bound']:.1f} kB, {times['bound']:.1f} ms: no picture",
        )
    assert sizes["now"] < 60.0
    assert sizes["now"] < sizes["before"] / 20
    assert sizes["other servers"] < 0.6 * sizes["before"]
    assert times["now"] < 0.6 * times["before"]
    assert times["other servers"] < times["before"]
