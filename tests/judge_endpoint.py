"""A real server on loopback that speaks the chat completions protocol and misbehaves as told.

In a thread: `with judge_endpoint(Script(...)) as endpoint`. In a process of its own, where speed is measured or the
server is to be killed: `with judge_process("--delay", "0.3") as (url, process)`; `--help` lists the arguments.

Behaviours of a call: "answer"; a status such as "500" or "429" (with Retry-After); "drop" (the connection, without a
byte), "half" (of a body), "broken" (no JSON), "empty" (JSON without choices), "text" (an answer that is no label),
"wrong" (a label of the other question), "null" (no content), "error" and "refused" (status 200 with an error of 503, of
400), "hang" (answers when it is too late), "flood" (a body without an end).
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import random
import re
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from inspect import isawaitable
from io import BytesIO
from itertools import repeat
from subprocess import Popen
from typing import Any

from chat_server import completion, in_process, serve_for_starter, serving
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from named_pictures import NamedPictures
from PIL import Image

from easyr1_fgrpo.judges.local import load_judge
from easyr1_fgrpo.judges.protocol import LABELS, Judge, JudgeRequest, Label, Question

ANSWERS = {Question.CONSISTENCY: Label.YES, Question.GROUNDING: Label.CORRECT}
WRONG = {Question.CONSISTENCY: Label.CORRECT, Question.GROUNDING: Label.YES}
HANG_S = 30.0
BOX = re.compile(r"\[-?[\d.]+(?:, -?[\d.]+){3}\]")


class Case:
    """What a call asks, read from the request alone, as a model would see it."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.body = body
        self.rules = next(message["content"] for message in body["messages"] if message["role"] == "system")
        self.parts = next(message["content"] for message in body["messages"] if message["role"] == "user")
        self.text = "".join(part["text"] for part in self.parts if part["type"] == "text")
        self.whole_rollout = '"sentences": {' in self.text

    @cached_property
    def kind(self) -> Question:
        """By the labels that the rules name."""
        return next(kind for kind in Question if all(label in self.rules for label in LABELS[kind]))

    @cached_property
    def images(self) -> tuple[Image.Image, ...]:
        urls = [part["image_url"]["url"] for part in self.parts if part["type"] == "image_url" and part["image_url"]]
        return tuple(Image.open(BytesIO(base64.b64decode(url.partition(",")[2]))) for url in urls)

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The JSON object that the text of the case begins with."""
        fields: dict[str, Any] = json.JSONDecoder().raw_decode(self.text)[0]
        return fields

    @property
    def requests(self) -> list[JudgeRequest]:
        """The questions as a judge in the process would get them; more than one for a rollout in one call."""
        fields = self.fields
        question = fields["question"]
        if self.kind is Question.CONSISTENCY:
            return [
                JudgeRequest(self.kind, question, context=tagged(fields["reasoning"]), answer=fields["final_answer"])
            ]
        if not self.whole_rollout:
            context, claim = tagged(fields["reasoning_before"]), tagged(fields["latest_sentence"])
            return [JudgeRequest(self.kind, question, self.images, context=context, claim=claim)]
        requests, offset = [], 0
        for claim in fields["sentences"].values():
            found = fields["reasoning"].find(claim, offset)
            offset = found if found >= 0 else len(fields["reasoning"])
            context = tagged(fields["reasoning"][:offset])
            requests.append(JudgeRequest(self.kind, question, self.images, context=context, claim=tagged(claim)))
            offset += len(claim)
        return requests


def tagged(text: str) -> str:
    """Boxes as the policy writes them."""
    return BOX.sub(lambda box: f"<bbox>{box[0].replace(' ', '')}</bbox>", text)


def all_true(case: Case) -> str:
    """The first label of every question; a list of them where a list is wanted."""
    label = ANSWERS[case.kind]
    return json.dumps([label] * len(case.requests)) if case.whole_rollout else label


def answers_of(judge: Judge) -> Callable[[Case], Awaitable[str]]:
    """Answers as a judge would, asked what the call asks."""

    async def answer(case: Case) -> str:
        verdicts = [await judge.ask(request) for request in case.requests]
        labels = [verdict.label or f"no label: {verdict.cause}" for verdict in verdicts]
        return json.dumps(labels) if case.whole_rollout else labels[0]

    return answer


@dataclass
class Script:
    """How the server behaves.

    Attributes:
        answer: what the model says; a function of the case, or one that is awaited.
        delay_s: seconds before every reply.
        first: behaviours of the first calls, one each.
        shares: share of the later calls with a behaviour, by its name; the others answer.
        seed: of the draws.
        retry_after: the header of a 429 or 503.
        says: the body of an error; {key} stands for the API key that came with the call.
        tokens: prompt and completion tokens that a reply reports.
        names: what it makes of pictures that are named, see `named_pictures`.
    """

    answer: Callable[[Case], Any] = all_true
    delay_s: float = 0.0
    first: list[str] = field(default_factory=list)
    shares: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    retry_after: str = "0"
    says: str = "as told"
    tokens: tuple[int, int] = (100, 2)
    names: str = "refused"

    def __post_init__(self) -> None:
        self._draws = random.Random(self.seed)

    def next(self) -> str:
        if self.first:
            return self.first.pop(0)
        draw = self._draws.random()
        for behaviour, share in self.shares.items():
            draw -= share
            if draw < 0.0:
                return behaviour
        return "answer"


class Server:
    """The application, and what it saw: counts of calls by behaviour, the most at once, the last bodies and headers."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.pictures = NamedPictures(script.names)
        self.counts: Counter[str] = Counter()
        self.most_at_once = self.at_once = 0
        self.bodies: deque[dict[str, Any]] = deque(maxlen=1000)
        self.headers: deque[dict[str, str]] = deque(maxlen=1000)
        self.url = ""
        self.app = FastAPI()
        self.app.get("/health")(lambda: {"ok": True})
        self.app.get("/counts")(lambda: self.counts)
        self.app.get("/pictures")(self.pictures.counts)
        self.app.post("/v1/chat/completions")(self.complete)

    @property
    def calls(self) -> int:
        return self.counts.total()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope["transport"] = receive.__self__.transport  # uvicorn's connection, to break it
        await self.app(scope, receive, send)

    async def complete(self, request: Request) -> Response:
        body, refusal = self.pictures.read(await request.body())
        if refusal is not None:
            return refusal
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        behaviour = self.script.next()
        self.counts[behaviour] += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(HANG_S if behaviour == "hang" else self.script.delay_s)
            return await self._reply(behaviour, Case(body), request)
        finally:
            self.at_once -= 1

    async def _reply(self, behaviour: str, case: Case, request: Request) -> Response:
        match behaviour:
            case "answer" | "hang":
                answer = self.script.answer(case)
                return self._completion(case, await answer if isawaitable(answer) else answer)
            case "text":
                return self._completion(case, "Well, that depends on how one looks at it.")
            case "wrong":
                return self._completion(case, WRONG[case.kind])
            case "null":
                return self._completion(case, None, finish_reason="length")
            case "empty":
                return JSONResponse({"choices": []})
            case "error":
                return JSONResponse({"error": {"message": self.script.says, "code": 503}})
            case "refused":
                return JSONResponse({"error": {"message": self.script.says, "code": 400}})
            case "broken":
                return Response('{"choices": [{"message"', media_type="application/json")
            case "drop":
                request.scope["transport"].abort()
                return Response()
            case "flood":
                return StreamingResponse(repeat(bytes(1 << 20)))
            case "half":
                head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n"
                request.scope["transport"].write(head + b'{"id": "judge", "choices": [{"index"')
                request.scope["transport"].close()
                return Response()
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        body = {"error": {"message": self.script.says.replace("{key}", key)}}
        return JSONResponse(body, int(behaviour), {"Retry-After": self.script.retry_after})

    def _completion(self, case: Case, text: str | Mapping[str, Any] | None, finish_reason: str = "stop") -> Response:
        reply = completion(case.body["model"], text, finish_reason, self.script.tokens)
        return Response(json.dumps(reply), media_type="application/json")


@contextmanager
def judge_endpoint(script: Script | None = None, port: int = 0) -> Iterator[Server]:
    """A server in a thread of this process, up within the block."""
    server = Server(script or Script())
    with serving(server, port) as server.url:
        yield server


def judge_process(*arguments: str) -> AbstractContextManager[tuple[str, Popen[str]]]:
    """A server in a process of its own, up within the block: its URL and the process."""
    return in_process(__file__, *arguments)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A chat completions server that answers and misbehaves as told.")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before every reply")
    parser.add_argument("--shares", type=json.loads, default={}, help='of behaviours, JSON: {"500": 0.1, "drop": 0.1}')
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--names", default="refused", help="what it makes of named pictures: named_pictures.py")
    parser.add_argument("--judge", default="", help="package.module:Class that answers; without one all is true")
    parser.add_argument("--options", type=json.loads, default={}, help="its arguments, JSON")
    return parser.parse_args()


def main() -> None:
    """Serve as the arguments say."""
    given = _arguments()
    answer = answers_of(load_judge(given.judge, given.options)) if given.judge else all_true
    script = Script(answer, given.delay, shares=given.shares, seed=given.seed, names=given.names)
    serve_for_starter(Server(script))


if __name__ == "__main__":
    main()
