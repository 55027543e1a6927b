"""A checkpoint that answers in this process, on the CPU: questions that wait are answered together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from easyr1_fgrpo.checkpoints import CheckpointError
from easyr1_fgrpo.evaluation.answers.asking import Answer, Rejected
from easyr1_fgrpo.evaluation.answers.pictures import Picture
from easyr1_fgrpo.rows import IMAGE_MARK

if TYPE_CHECKING:
    from easyr1_fgrpo.evaluation.answers.batches import Batches
    from easyr1_fgrpo.generation.generator import Generator, Prompt

GATHER_S = 0.2
"""Seconds without another question after which a batch is answered although it is not full."""

FIELDS = {"temperature", "max_tokens", "top_p", "seed"}
"""Of a request, those that are understood here."""


class InProcess:
    """Loads a checkpoint at its first question. For one event loop.

    Args:
        folder: Hugging Face folder.
        rows: questions answered at a time; a batch always has the arithmetic of a full one.
    """

    def __init__(self, folder: Path, rows: int) -> None:
        self._folder, self._rows = folder, rows
        self._loaded: tuple[Generator, Batches] | None = None
        self._loading = asyncio.Lock()

    async def answer(
        self, messages: Sequence[Mapping[str, Any]], pictures: Sequence[Picture], request: Mapping[str, Any]
    ) -> Answer:
        """Answer one question, together with whatever else waits.

        Args:
            messages: of a style; image parts name pictures.
            pictures: at the size at which they are sent.
            request: `temperature`, `max_tokens` and, for samples, `seed`.

        Raises:
            Rejected: for a prompt that the model's processor cannot read.
            CheckpointError: when the checkpoint cannot be loaded.
        """
        async with self._loading:
            if self._loaded is None:
                self._loaded = await asyncio.to_thread(_load, self._folder, self._rows)
        generator, batches = self._loaded
        prompt = await asyncio.to_thread(_prompt, generator, messages, pictures, request)
        completion = await batches.complete(prompt)
        return Answer(generator.decode(completion), completion.stop_reason == "length", len(completion.ids))


def check_request(request: Mapping[str, Any]) -> None:
    """Whether a checkpoint in this process understands a request.

    Raises:
        ValueError: naming a field that is missing or not known, and the fix.
    """
    if unknown := sorted(request.keys() - FIELDS):
        raise ValueError(f"--parameters: {unknown[0]} takes a server: install vLLM, or name a URL")
    if missing := sorted({"temperature", "max_tokens"} - request.keys()):
        raise ValueError(f"--parameters: a checkpoint in this process needs {missing[0]}")
    if request["temperature"] and "seed" not in request:
        raise ValueError(f"--parameters: temperature {request['temperature']} takes --mode sampled, which brings seeds")


def _load(folder: Path, rows: int) -> tuple[Generator, Batches]:
    from transformers.utils.logging import disable_progress_bar

    from easyr1_fgrpo.evaluation.answers.batches import Batches
    from easyr1_fgrpo.generation.generator import Generator

    disable_progress_bar()
    try:
        generator = Generator(str(folder), rows=rows, prompt_length=None)
    except Exception as error:  # whatever the folder's files make transformers raise
        cause = str(error).strip().partition("\n")[0]
        raise CheckpointError(f"{folder} cannot be loaded ({type(error).__name__}: {cause})") from error
    return generator, Batches(generator, GATHER_S)


def _prompt(
    generator: Generator, messages: Sequence[Mapping[str, Any]], pictures: Sequence[Picture], request: Mapping[str, Any]
) -> Prompt:
    from easyr1_fgrpo.generation.generator import Prompt
    from easyr1_fgrpo.generation.processor import encode
    from easyr1_fgrpo.generation.sampling import Sampling

    marked = [{"role": message["role"], "content": _marked(message["content"])} for message in messages]
    try:
        ids, images = encode(generator.processor, marked, [picture.image for picture in pictures])
    except ValueError as error:
        raise Rejected(f"prompt: {error}") from error
    sampling = Sampling(float(request["temperature"]), float(request.get("top_p", 1.0)), seed=request.get("seed", 0))
    return Prompt(ids, images, sampling, int(request["max_tokens"]))


def _marked(content: str | Sequence[Mapping[str, Any]]) -> str:
    """A message's content in one text, with a mark for each image."""
    if isinstance(content, str):
        return content
    return "".join(IMAGE_MARK if part["type"] == "image" else part["text"] for part in content)
