"""`fgrpo serve CHECKPOINT --port N`: a small OpenAI-compatible server on the CPU.

For evaluations and tests without vLLM: chat completions with images as data URLs, greedy or seeded, requests that wait
are answered together. What a request gets does not depend on the others in its batch.
"""

from __future__ import annotations

import asyncio
import base64
import time
from pathlib import Path
from typing import Annotated, Any, Literal

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from PIL import Image
from pydantic import BaseModel, Field, ValidationError

from easyr1_fgrpo.evaluation.answers.batches import Batches
from easyr1_fgrpo.generation.generator import Completion, Generator, Prompt
from easyr1_fgrpo.generation.processor import IMAGE_MARK, encode
from easyr1_fgrpo.generation.sampling import Sampling
from easyr1_fgrpo.pictures import decode

GATHER_S = 0.01
"""Seconds a batch waits for more requests."""


class ImageUrl(BaseModel):
    """Where an image is; only data URLs are read, nothing is fetched."""

    url: str


class Part(BaseModel):
    """A part of a message: text, or an image."""

    type: Literal["text", "image_url"]
    text: str = ""
    image_url: ImageUrl | None = None


class Message(BaseModel):
    """A turn before the response."""

    role: Literal["system", "user"]
    content: str | list[Part]


class ChatRequest(BaseModel):
    """The fields of a chat completion request that are served; others are ignored but for those that change much."""

    model: str
    messages: Annotated[list[Message], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0.0)] = 1.0
    top_p: float = 1.0
    seed: int | None = None
    n: Literal[1] = 1
    stream: Literal[False] = False


class Refused(Exception):  # noqa: N818 - an answer to the client
    """A request that cannot be served, and why."""


def build_app(generator: Generator, name: str) -> FastAPI:
    """The application: /health, /v1/models and /v1/chat/completions of one model."""
    batches = Batches(generator, GATHER_S)
    app = FastAPI()

    @app.get("/health")
    def health() -> dict[str, bool]:
        return {"ok": True}

    @app.get("/v1/models")
    def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": name, "object": "model", "created": 0, "owned_by": "easyr1-fgrpo"}]}

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> JSONResponse:
        try:
            asked = ChatRequest.model_validate_json(await request.body())
            prompt = await asyncio.to_thread(_prompt, asked, generator, name)
        except (ValidationError, ValueError, Refused) as error:
            return _problem(400, " ".join(str(error).split()))
        completion = await batches.complete(prompt)
        return JSONResponse(_answer(name, generator, prompt, completion))

    return app


def _prompt(asked: ChatRequest, generator: Generator, name: str) -> Prompt:
    """A request as the generator reads it.

    Raises:
        Refused, ValueError: when it cannot be served.
    """
    if asked.model != name:
        raise Refused(f"model {asked.model!r} is not served here, only {name!r}")
    if asked.temperature > 0 and asked.seed is None:
        raise Refused("a sampled completion needs a seed here, or temperature 0")
    messages, images = [], []
    for message in asked.messages:
        texts = []
        for part in [Part(type="text", text=message.content)] if isinstance(message.content, str) else message.content:
            if IMAGE_MARK in part.text:
                raise Refused(f"a text holds {IMAGE_MARK}")
            if part.image_url is not None:
                images.append(_image(part.image_url.url))
            texts.append(part.text if part.type == "text" else IMAGE_MARK)
        messages.append({"role": message.role, "content": "".join(texts)})
    ids, seen = encode(generator.processor, messages, images)
    room = int(generator.model.config.get_text_config().max_position_embeddings) - len(ids)
    limit = asked.max_completion_tokens or asked.max_tokens or room
    if room < 1:
        raise Refused(f"the prompt has {len(ids)} tokens, the model's context ends {1 - room} before its end")
    sampling = Sampling(asked.temperature, asked.top_p, seed=asked.seed or 0)
    return Prompt(ids, seen, sampling, min(limit, room))


def _image(url: str) -> Image.Image:
    head, _, data = url.partition(",")
    if not head.startswith("data:image/") or not head.endswith(";base64"):
        raise Refused("images are read from data:image/...;base64 URLs only")
    try:
        return decode(base64.b64decode(data, validate=True))
    except ValueError as error:
        raise Refused(str(error)) from error


def _answer(name: str, generator: Generator, prompt: Prompt, completion: Completion) -> dict[str, Any]:
    sent, written = len(prompt.ids), len(completion.ids)
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": generator.decode(completion)},
        "finish_reason": "length" if completion.stop_reason == "length" else "stop",
    }
    return {
        "id": f"chatcmpl-{time.monotonic_ns():x}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": name,
        "choices": [choice],
        "usage": {"prompt_tokens": sent, "completion_tokens": written, "total_tokens": sent + written},
    }


def _problem(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": {"message": message, "type": "invalid_request_error"}}, status)


def serve(checkpoint: Path, host: str, port: int, name: str, rows: int) -> None:
    """Serve a checkpoint until the process is ended.

    Args:
        checkpoint: Hugging Face folder.
        host: where to listen.
        port: at which port.
        name: under which the model is known.
        rows: requests answered at a time.
    """
    generator = Generator(str(checkpoint), rows=rows, prompt_length=None)
    uvicorn.run(build_app(generator, name), host=host, port=port, log_level="warning", timeout_keep_alive=30)
