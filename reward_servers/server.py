"""The Ray actor that owns a judge. Light: it imports what its judge needs, never torch or verl on its own account."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import ray

from easyr1_fgrpo.judges.asking import ask
from easyr1_fgrpo.judges.local import load_judge
from easyr1_fgrpo.judges.protocol import JudgeRequest, Verdict

MAX_CONCURRENT_ASKS = 256
"""Calls a server works on at once, each with a rollout's questions of one kind; further ones wait in Ray's queue."""


class JudgeServer:
    """Answers questions with the judge `target(**options)`.

    Args:
        target: `package.module:Class`.
        options: arguments of that class.
        directory: where relative paths in `options` start; a Ray worker's own directory is the cluster's.

    Raises:
        ValueError: when the target cannot be imported, takes other options, or is no judge.
        FileNotFoundError: when the directory does not exist on this node.
    """

    def __init__(self, target: str, options: Mapping[str, Any], directory: str) -> None:
        os.chdir(directory)
        self.judge = load_judge(target, options)

    async def ask(self, requests: Sequence[JudgeRequest]) -> list[Verdict]:
        """Judge requests of one kind and of one rollout, in their order; see `easyr1_fgrpo.judges.asking.ask`."""
        return await ask(self.judge, requests)

    @ray.method(concurrency_group="health", max_task_retries=0)  # type: ignore[untyped-decorator]
    async def health(self) -> int:
        """Answer once the judge is built, however many questions are under way.

        Returns:
            The process id of the server.
        """
        return os.getpid()


JudgeServerActor: Any = ray.remote(
    # A killed server comes back and answers what it was asked; a call that kills it twice is given up.
    max_restarts=-1,
    max_task_retries=1,
    max_concurrency=MAX_CONCURRENT_ASKS,
    concurrency_groups={"health": 1},
)(JudgeServer)
"""`JudgeServer` as a Ray actor."""
