"""A model that is asked: behind a URL, by a server of our own, or in this process; its answers are on disk."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

from easyr1_fgrpo.checkpoints import checkpoint_sha256
from easyr1_fgrpo.evaluation.answers.asking import Answer, AnswerLog, Asking, ask
from easyr1_fgrpo.evaluation.answers.in_process import InProcess, check_request
from easyr1_fgrpo.evaluation.answers.launch import served
from easyr1_fgrpo.evaluation.answers.models import ModelSpec
from easyr1_fgrpo.evaluation.answers.pictures import Picture
from easyr1_fgrpo.evaluation.benchmarks import Item, Source
from easyr1_fgrpo.evaluation.mode import Mode
from easyr1_fgrpo.evaluation.plan import Plan, connection
from easyr1_fgrpo.evaluation.run_items import Task
from easyr1_fgrpo.model_client.client import ModelClient

Say = Callable[[Asking, Item, Sequence[Picture]], Awaitable[Answer]]
"""Puts a question to a model."""


class AskedModel:
    """A model whose answers are on disk. A local checkpoint is loaded at its first question that is not.

    vLLM serves it where that is installed; elsewhere it answers in this process, on the CPU.

    Args:
        spec: which model.
        plan: how it is asked.
        identity: what its answers are of: its name at its server, or the hash of its weights.
        say: puts a question to it.
        stack: closes what is opened.
    """

    def __init__(self, spec: ModelSpec, plan: Plan, identity: str, say: Say, stack: AsyncExitStack) -> None:
        self.identity = identity
        self._spec, self._plan, self._say = spec, plan, say
        self._log = AnswerLog(plan.out / "answers" / f"{spec.name}.jsonl")
        stack.callback(self._log.close)

    @classmethod
    async def prepare(cls, spec: ModelSpec, plan: Plan, stack: AsyncExitStack) -> AskedModel:
        """Find out what the model is.

        Raises:
            ModelGone: when its server does not come up.
            ValueError: for a style or a request that a checkpoint in this process does not understand.
        """
        if spec.address is not None:
            client = await stack.enter_async_context(connection(spec.address, plan))
            name = await client.served_name()
            return cls(spec, plan, name, _by_client(client), stack)
        assert spec.folder is not None
        identity = await asyncio.to_thread(checkpoint_sha256, spec.folder)
        if shutil.which("vllm"):
            return cls(spec, plan, identity, _by_server(spec, plan, stack), stack)
        if spec.style.prefill:
            raise ValueError(
                f"style {spec.style.name} begins the answer, which takes a server: install vLLM, or name a URL"
            )
        for mode in plan.modes:
            check_request(plan.request(mode) | ({"seed": plan.seed} if mode is Mode.SAMPLED else {}))
        return cls(spec, plan, identity, _by_process(InProcess(spec.folder, plan.concurrency)), stack)

    def task(self, source: Source, mode: Mode) -> Task:
        """This model on a benchmark."""
        name = self.identity if self._spec.address else self._spec.name
        seed = self._plan.seed if mode is Mode.SAMPLED else None
        asking = Asking(name, self.identity, self._spec.style, self._plan.request(mode), seed)

        async def respond(item: Item, pictures: Sequence[Picture]) -> Answer:
            key = asking.key(item)
            answer = self._log.get(key)
            if answer is None:
                answer = await self._say(asking, item, pictures)
                self._log.put(key, answer)
            return answer.scored

        return Task(
            model=self._spec.name,
            style=self._spec.style,
            benchmark=source.benchmark.name,
            source=self._plan.rows(source),
            answer_key=asking.key,
            respond=respond,
            mode=mode,
            expected=self._plan.samples or source.benchmark.n_expected,
        )


def _by_client(client: ModelClient) -> Say:
    async def say(asking: Asking, item: Item, pictures: Sequence[Picture]) -> Answer:
        return await ask(client, asking, item, pictures)

    return say


def _by_server(spec: ModelSpec, plan: Plan, stack: AsyncExitStack) -> Say:
    """By a server of our own, which starts at the first question."""
    connecting = asyncio.Lock()
    clients: list[ModelClient] = []

    async def say(asking: Asking, item: Item, pictures: Sequence[Picture]) -> Answer:
        async with connecting:
            if not clients:
                assert spec.folder is not None
                log = plan.out / "servers" / f"{spec.name}.log"
                address = await stack.enter_async_context(served(spec.folder, spec.name, log))
                clients.append(await stack.enter_async_context(connection(address, plan)))
        return await ask(clients[0], asking, item, pictures)

    return say


def _by_process(model: InProcess) -> Say:
    async def say(asking: Asking, item: Item, pictures: Sequence[Picture]) -> Answer:
        messages = asking.style.messages(item, len(pictures))
        return await model.answer(messages, pictures, asking.request(item))

    return say
