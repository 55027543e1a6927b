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
    from easyr1_fgrpo.generation.generator import Generator, Prompt

GATHER_S = 0.2
"""Seconds without another question after which a batch is answered although it is not full."""


class InProcess:
    """Loads a checkpoint at its first question. For one event loop.

    Args:
        folder: Hugging Face folder.
        rows: questions answered at a time; a batch always has the arithmetic of a full one.
    """

    def __init__(self, folder: Path, rows: int) -> None:
        self._folder, self._rows = folder, rows
        self._generator: Generator | None = None
        self._waiting: list[tuple[Prompt, asyncio.Future[Answer]]] = []
        self._joined = asyncio.Event()
        self._working: asyncio.Task[None] | None = None
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
            if self._generator is None:
                self._generator = await asyncio.to_thread(_load, self._folder, self._rows)
        prompt = await asyncio.to_thread(_prompt, self._generator, messages, pictures, request)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((prompt, future))
        self._joined.set()
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work(self._generator))
        return await future

    async def _work(self, generator: Generator) -> None:
        while self._waiting:
            await self._gather()
            batch, self._waiting = self._waiting[: self._rows], self._waiting[self._rows :]
            try:
                completions = await asyncio.to_thread(generator.complete, [prompt for prompt, _ in batch])
            except Exception as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), completion in zip(batch, completions, strict=True):
                if not future.done():
                    cut = completion.stop_reason == "length"
                    future.set_result(Answer(generator.decode(completion), cut, len(completion.ids)))

    async def _gather(self) -> None:
        """Wait until the batch is full, or nobody joins it any more."""
        while len(self._waiting) < self._rows:
            self._joined.clear()
            try:
                async with asyncio.timeout(GATHER_S):
                    await self._joined.wait()
            except TimeoutError:
                return


def _load(folder: Path, rows: int) -> Generator:
    from transformers.utils.logging import disable_progress_bar

    from easyr1_fgrpo.generation.generator import Generator

    disable_progress_bar()
    try:
        return Generator(str(folder), rows=rows, prompt_length=None)
    except Exception as error:  # whatever the folder's files make transformers raise
        cause = str(error).strip().partition("\n")[0]
        raise CheckpointError(f"{folder} cannot be loaded ({type(error).__name__}: {cause})") from error


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
    sampling = Sampling(float(request["temperature"]), seed=int(request.get("seed", 0)))
    return Prompt(ids, images, sampling, int(request["max_tokens"]))


def _marked(content: str | Sequence[Mapping[str, Any]]) -> str:
    """A message's content in one text, with a mark for each image."""
    if isinstance(content, str):
        return content
    return "".join(IMAGE_MARK if part["type"] == "image" else part["text"] for part in content)
