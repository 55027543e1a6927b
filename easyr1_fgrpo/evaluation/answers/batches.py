"""Prompts that wait are completed together; what one gets does not depend on the others in its batch."""

from __future__ import annotations

import asyncio

from easyr1_fgrpo.generation.generator import Completion, Generator, Prompt

WIDTH_STEP = 32
"""Prompts are padded to a multiple of so many tokens; those of one width share batches."""


class Batches:
    """Gathers prompts of one width into batches for the generator, which works in a thread of its own.

    Args:
        generator: completes them, as many at a time as it has rows.
        gather_s: seconds without another prompt after which a batch is completed although it is not full.
    """

    def __init__(self, generator: Generator, gather_s: float) -> None:
        self._generator, self._gather_s = generator, gather_s
        self._waiting: list[tuple[int, Prompt, asyncio.Future[Completion]]] = []
        self._joined = asyncio.Event()
        self._working: asyncio.Task[None] | None = None

    async def complete(self, prompt: Prompt) -> Completion:
        """The completion of one prompt; whatever the generator raises."""
        future: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        self._waiting.append((-(-len(prompt.ids) // WIDTH_STEP) * WIDTH_STEP, prompt, future))
        self._joined.set()
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        """Generate until nobody waits."""
        while self._waiting:
            await self._gather()
            if not (batch := self._next()):
                continue
            try:
                completions = await asyncio.to_thread(self._generator.complete, [prompt for prompt, _ in batch])
            except Exception as error:  # whatever a model raises is the answer to these prompts
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
            else:
                for (_, future), completion in zip(batch, completions, strict=True):
                    if not future.done():
                        future.set_result(completion)

    async def _gather(self) -> None:
        """Wait until a batch may be full, or nobody joins any more."""
        while len(self._waiting) < self._generator.rows:
            self._joined.clear()
            try:
                async with asyncio.timeout(self._gather_s):
                    await self._joined.wait()
            except TimeoutError:
                return

    def _next(self) -> list[tuple[Prompt, asyncio.Future[Completion]]]:
        """The oldest prompt that somebody still waits for and those of its width, as many as fit."""
        waiting = [entry for entry in self._waiting if not entry[2].done()]
        of_width = [entry for entry in waiting if entry[0] == waiting[0][0]][: self._generator.rows]
        taken = {id(entry) for entry in of_width}
        self._waiting = [entry for entry in waiting if id(entry) not in taken]
        if of_width:
            # The width is a property of each prompt alone, so neighbours do not change a row's arithmetic.
            self._generator.prompt_length = of_width[0][0]
        return [(prompt, future) for _, prompt, future in of_width]
