"""A model's server on loopback whose answers, and whose troubles, are scripted; it speaks OpenAI's protocol.

In a thread: `with scripted(Model(answer=...)) as model`. In a process of its own: `with model_process("--delay", 0.1)`.
"""

import argparse
import asyncio
import json
import socket
import subprocess
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse


@dataclass
class Model:
    """`answer(text)` is what the model says to a question's text; a number is a status instead.

    The scorer's questions are known by its rules and answered by `score(fields)`.
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
    url: str = ""

    @property
    def asked(self):
        """Calls that were no scorer's."""
        return sum(number for text, number in self.calls.items() if text != "scorer")


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
                model.calls[text_of(body)] += 1
                said = model.answer(text_of(body))
        finally:
            model.at_once -= 1
        if isinstance(said, int):
            return JSONResponse({"error": {"message": f"status {said}"}}, said)
        return {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": model.finish_reason}
            ],
            "usage": {"prompt_tokens": 1, "completion_tokens": 7, "total_tokens": 8},
        }

    return app


@contextmanager
def scripted(model, port=0):
    """The server, up within the block; its URL is `model.url`."""
    listening = socket.create_server(("127.0.0.1", port), backlog=512)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    model.url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    server = uvicorn.Server(
        uvicorn.Config(build(model), log_level="critical", access_log=False, lifespan="off", timeout_keep_alive=30)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield model
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)
        listening.close()
        assert not thread.is_alive()


@contextmanager
def model_process(*arguments):
    """A server in a process of its own that always says one thing, up within the block: its URL. See `main`."""
    command = [sys.executable, __file__, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().strip()
            assert url.startswith("http"), f"{command} did not start"
            yield url
        finally:
            process.kill()


def main():
    """Serve until the starter is gone (its end of our standard input closes)."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before every reply")
    parser.add_argument("--says", default="RIGHT", help="every reply")
    given = parser.parse_args()
    model = Model(answer=lambda text: given.says, score=lambda case: given.says, delay_s=given.delay)
    with scripted(model):
        print(model.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
