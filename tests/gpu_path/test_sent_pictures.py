"""Pictures on their way to a real `vllm serve`: sent once, looked at every time, healed after a restart.

The judge's words are few, so that the server's time goes into what this is about: its one process in front, which reads
each request and decodes each picture.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import pytest
from performance import Note
from photographs import photograph
from PIL import Image

from easyr1_fgrpo.config.judges import ModelJudgeConfig
from easyr1_fgrpo.judges.openai_compatible import OpenAICompatibleJudge
from easyr1_fgrpo.judges.protocol import JudgeRequest, Question, Verdict
from easyr1_fgrpo.model_client import pictures
from easyr1_fgrpo.pictures import wire_png

from .byte_judge import save_judge

pytestmark = pytest.mark.gpu_path

CONCURRENCY, ROLLOUTS, SENTENCES, ROUNDS = 64, 5, 8, 2
PROMPT = """
{% block rules %}Is the latest sentence true of the picture? CORRECT, INCORRECT or SKIP.{% endblock %}
{% block case %}{"question": {{ question }}, "reasoning": {{ context }}, "latest": {{ claim }}}{% endblock %}
"""
TRACE = "The red circle is left of the square. "


class Served:
    """`vllm serve` of a folder on a port of its own."""

    def __init__(self, model: Path, *arguments: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self.command = [
            str(Path(sys.executable).with_name("vllm")),
            "serve",
            str(model),
            "--served-model-name",
            "judge",
        ]
        self.command += ["--host", "127.0.0.1", "--port", str(self.port), "--enforce-eager", "--dtype", "float32"]
        self.command += ["--max-model-len", "4096", *arguments]
        self.log = model.parent / f"vllm-{self.port}.log"

    @contextmanager
    def up(self) -> Iterator[subprocess.Popen[bytes]]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(self.command, stdout=log, stderr=log, start_new_session=True)
        try:
            self._wait(process)
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        health, ends = f"http://127.0.0.1:{self.port}/health", time.monotonic() + 600
        while True:
            try:
                build_opener(ProxyHandler({})).open(health, timeout=5).close()
                return
            except (URLError, OSError):
                assert process.poll() is None, self.log.read_text()[-3000:]
                assert time.monotonic() < ends, self.log.read_text()[-3000:]
                time.sleep(0.5)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_judge(tmp_path_factory.mktemp("served") / "judge")


@pytest.fixture(scope="module")
def served(model: Path) -> Iterator[Served]:
    server = Served(model)
    with server.up():
        yield server


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prompt") / "short.jinja"
    path.write_text(PROMPT)
    return path


def photos(fresh: int) -> list[Image.Image]:
    """Four that no server has seen yet."""
    return [photograph(4 * fresh + number) for number in range(4)]


def requests(images: Sequence[Image.Image]) -> list[JudgeRequest]:
    """Of a step's rollouts, each of which reads its picture anew."""
    rollouts = [image.copy() for image in images for _ in range(ROLLOUTS)]
    return [
        JudgeRequest(
            Question.GROUNDING,
            "Left or right?",
            (image,),
            TRACE * number,
            f"It is so, for the {rollout}th time.",
            limit_s=600,
        )
        for rollout, image in enumerate(rollouts)
        for number in range(SENTENCES)
    ]


async def ask(url: str, template: Path, asked: Sequence[JudgeRequest], **config: int) -> list[Verdict]:
    async def urls() -> list[str]:
        return [url]

    settings = {"concurrency": CONCURRENCY, "deadline_s": 120, **config}
    judged = ModelJudgeConfig(
        kind="openai_compatible", model="judge", base_urls=[url], prompt=str(template), **settings
    )
    judge = OpenAICompatibleJudge(judged, urls=urls, questions=[Question.GROUNDING])
    try:
        return list(await asyncio.gather(*map(judge.ask, asked)))
    finally:
        await judge.close()


def as_it_was(patch: pytest.MonkeyPatch) -> None:
    """Every picture as PNG with every question."""
    patch.setattr(pictures, "judged_file", lambda image: (wire_png(image), "image/png"))
    patch.setattr(pictures.PicturedBody, "large", ())


def test_three_times_as_many_questions_a_second(
    served: Served, template: Path, monkeypatch: pytest.MonkeyPatch, row: Note
) -> None:
    rates: dict[str, list[float]] = {"before": [], "now": [], "without pictures": []}

    def rate(name: str, images: Sequence[Image.Image]) -> None:
        asked = requests(images)
        if name == "without pictures":
            asked = [JudgeRequest(**{**vars(request), "images": ()}) for request in asked]
        started = time.monotonic()
        verdicts = asyncio.run(ask(served.url, template, asked))
        rates[name].append(len(asked) / (time.monotonic() - started))
        assert all(verdict.label for verdict in verdicts), {verdict.cause for verdict in verdicts}

    for turn in range(ROUNDS):
        with monkeypatch.context() as patch:
            as_it_was(patch)
            rate("before", photos(2 * turn))
        rate("now", photos(2 * turn + 1))
        rate("without pictures", photos(2 * turn))
    print({name: [round(one, 1) for one in each] for name, each in rates.items()})
    best = {name: f"{max(each):.0f} a second" for name, each in rates.items()}
    row(
        f"grounding questions about photographs of 1,024 px to `vllm serve` on two cores, {CONCURRENCY} at once",
        best["now"],
        before=best["before"],
        bound=f"{best['without pictures']}: no picture",
    )
    assert max(rates["now"]) > 3 * max(rates["before"])


def test_a_name_is_looked_at_like_its_picture(served: Served, template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = requests(photos(99)[:1])[:16]
    named = asyncio.run(ask(served.url, template, asked, concurrency=1))
    by_name_alone = asyncio.run(ask(served.url, template, asked, concurrency=1))
    with monkeypatch.context() as patch:
        patch.setattr(pictures.PicturedBody, "large", ())
        sent = asyncio.run(ask(served.url, template, asked, concurrency=1))
    for verdicts in (by_name_alone, sent):
        assert [verdict.label for verdict in verdicts] == [verdict.label for verdict in named]
        tokens = [verdict.usage.prompt_tokens for verdict in verdicts]
        assert tokens == [verdict.usage.prompt_tokens for verdict in named]  # those of the picture among them
    assert {verdict.usage.calls for verdict in named} == {1}


@pytest.mark.parametrize("arguments", [(), ("--mm-processor-cache-gb", "0"), ("--api-server-count", "2")])
def test_no_verdict_is_lost(model: Path, template: Path, arguments: tuple[str, ...]) -> None:
    """By a server that is killed and started again in mid-run, keeps no pictures, or is two behind one URL."""
    server = Served(model, *arguments)

    async def run() -> list[Verdict]:
        asking = asyncio.ensure_future(ask(server.url, template, requests(photos(7)), concurrency=8, max_retries=30))
        if not arguments:
            await asyncio.sleep(2.0)
            assert not asking.done()
            running.close()
            await asyncio.to_thread(running.enter_context, server.up())
        return await asking

    with ExitStack() as running:
        running.enter_context(server.up())
        verdicts = asyncio.run(run())
    assert all(verdict.label for verdict in verdicts), {verdict.cause for verdict in verdicts}
    assert arguments or any(verdict.usage.retries for verdict in verdicts)
