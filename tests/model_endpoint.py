"""A model's server on loopback whose answers, and whose troubles, are scripted; it speaks OpenAI's protocol.

In a thread: `with scripted(Model(answer=...)) as model`. In a process of its own: `with model_process("--delay", 0.1)`.
"""

import argparse
import asyncio
import json
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field

from chat_server import completion, in_process, serve_for_starter, serving
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse


@dataclass
class Model:
    """`answer(text)` is what the model says to a question's text; a number is a status instead.

    The scorer's questions are known by its rules and answered by `score(fields)`; `asked` counts all other calls, as
    a number of its own: tests read it while the server's thread adds to `calls`.
    """

    answer: object = None
    score: object = None
    served: tuple = ("a-model",)
    delay_s: float = 0.0
    key: str = ""
    finish_reason: str = "stop"
    calls: Counter = field(default_factory=Counter)
    bodies: list = field(default_factory=list)
    most_at_once: int = 0
    at_once: int = 0
    asked: int = 0
    url: str = ""


def text_of(body):
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def build(model):
    app = FastAPI()

    @app.get("/v1/models")
    def models(request: Request):
        if model.key and request.headers["authorization"] != f"Bearer {model.key}":
            return JSONResponse({"error": {"message": "no"}}, 401)
        data = [{"id": name, "object": "model", "created": 0, "owned_by": "x"} for name in model.served]
        return {"object": "list", "data": data}

    @app.post("/v1/chat/completions")
    async def chat(request: Request):
        body = await request.json()
        model.bodies.append(body)
        model.at_once += 1
        model.most_at_once = max(model.most_at_once, model.at_once)
        try:
            await asyncio.sleep(model.delay_s)
            system = body["messages"][0]["content"]
            if body["messages"][0]["role"] == "system" and isinstance(system, str) and "RIGHT or WRONG" in system:
                model.calls["scorer"] += 1
                said = model.score(json.JSONDecoder().raw_decode(text_of(body))[0])
            else:
                model.asked += 1
                model.calls[text_of(body)] += 1
                said = model.answer(text_of(body))
        finally:
            model.at_once -= 1
        if isinstance(said, int):
            return JSONResponse({"error": {"message": f"status {said}"}}, said)
        return completion(body["model"], said, model.finish_reason, (1, 7))

    return app


@contextmanager
def scripted(model, port=0):
    """The server, up within the block; its URL is `model.url`."""
    with serving(build(model), port) as model.url:
        yield model


@contextmanager
def model_process(*arguments):
    """A server in a process of its own that always says one thing, up within the block: its URL. See `main`."""
    with in_process(__file__, *arguments) as (url, _):
        yield url


def main():
    """Serve as the arguments say."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before every reply")
    parser.add_argument("--says", default="RIGHT", help="every reply")
    given = parser.parse_args()
    model = Model(answer=lambda text: given.says, score=lambda case: given.says, delay_s=given.delay)
    serve_for_starter(build(model))


if __name__ == "__main__":
    main()
