"""A model judge of real servers on loopback; `tests/judge_endpoint.py` has what they can do wrong."""

import socket
from contextlib import asynccontextmanager

from judge_endpoint import judge_endpoint
from PIL import Image

from easyr1_fgrpo.config.judges import ModelJudgeConfig
from easyr1_fgrpo.judges.openai_compatible import OpenAICompatibleJudge
from easyr1_fgrpo.judges.protocol import JudgeRequest, Question

RED = Image.new("RGB", (20, 10), "red")
CLAIM = JudgeRequest(Question.GROUNDING, "Which is nearer?", (RED,), context="I look.", claim="The square is red.")
CHOICE = JudgeRequest(Question.CONSISTENCY, "Which is nearer?", context="So it is A.", answer="A")
KEY = "sk-judge-0123456789abcdef"


@asynccontextmanager
async def judging(*servers, cache=None, share=(0, 1), **config):
    """A judge of these servers (or URLs)."""
    urls = [server if isinstance(server, str) else server.url for server in servers]

    async def look_up():
        return urls

    settings = ModelJudgeConfig(kind="openai_compatible", model="tiny-judge", base_urls=urls, **config)
    judge = OpenAICompatibleJudge(settings, urls=look_up, share=share, cache=cache)
    try:
        yield judge
    finally:
        await judge.close()


async def asked(script, request=CLAIM, **config):
    with judge_endpoint(script) as server:
        async with judging(server, **config) as judge:
            return await judge.ask(request), server


def dead_url():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"http://127.0.0.1:{listening.getsockname()[1]}/v1"


def claims(n):
    return [JudgeRequest(Question.GROUNDING, "?", (RED,), claim=f"There are {i} birds.") for i in range(n)]
