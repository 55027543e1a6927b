"""verl's rollout interface on the CPU: a server actor that gathers a step's requests, and the trainer's hand on it.

The trainer may be on a GPU: what recipes/gpu_smoke.sh does where vLLM is not installed.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Generator as Stream
from typing import Any

import ray
import torch
from verl.workers.rollout.base import BaseRollout
from verl.workers.rollout.replica import RolloutReplica, TokenOutput

QUIET_SECONDS = 0.5
"""A batch that is not announced complete starts when no request has come for this long."""


def _server_name(replica_rank: int) -> str:
    return f"fgrpo_cpu_server_{replica_rank}_0"


class CpuRolloutServer:
    """Generates for concurrent requests; requests of one step are sorted by seed and share fixed batches.

    The agent loop announces how many rollouts a step has (`expected` in the sampling parameters), so the batch is
    the same however fast the requests arrive; without it, or when some never arrive, a quiet moment ends the wait.
    """

    def __init__(self, config: Any, model_config: Any, replica_rank: int) -> None:
        from verl.utils.fs import copy_to_local

        from easyr1_fgrpo.generation.generator import Generator

        self.config = config
        self.generator = Generator(
            copy_to_local(model_config.path),
            rows=config.max_num_seqs,
            prompt_length=config.prompt_length,
            trust_remote_code=bool(model_config.get("trust_remote_code", False)),
        )
        self.global_steps: int | None = None
        self.waiting: list[tuple[Any, asyncio.Future[Any]]] = []
        self.arrival = asyncio.Event()
        self.worker: asyncio.Task[None] | None = None

    async def generate(
        self,
        request_id: str,
        prompt_ids: list[int],
        sampling_params: dict[str, Any],
        image_data: list[Any] | None = None,
        video_data: list[Any] | None = None,
        **unused: Any,
    ) -> TokenOutput:
        """Answer one request when its batch is done.

        Raises:
            ValueError: for videos, and for prompts that do not fit.
        """
        from easyr1_fgrpo.generation.generator import Prompt
        from easyr1_fgrpo.generation.sampling import Sampling

        if video_data:
            raise ValueError("the CPU rollout server reads images only")
        prompt = Prompt(
            ids=tuple(prompt_ids),
            images=tuple(image_data or ()),
            sampling=Sampling.from_params(sampling_params, self.config.seed),
            max_new_tokens=int(sampling_params.get("max_tokens") or self.config.response_length),
        )
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.waiting.append(((prompt, int(sampling_params.get("expected", 0))), future))
        self.arrival.set()
        if self.worker is None or self.worker.done():
            self.worker = asyncio.create_task(self._serve())
        completion = await future
        return TokenOutput(
            token_ids=completion.ids,
            log_probs=completion.log_probs,
            stop_reason=completion.stop_reason,
            extra_fields={"global_steps": self.global_steps},
        )

    async def _serve(self) -> None:
        while self.waiting:
            await self._gather()
            batch, self.waiting = self.waiting, []
            batch.sort(key=lambda entry: (entry[0][0].sampling.seed, entry[0][0].ids))
            prompts = [prompt for (prompt, _), _ in batch]
            try:
                completions = await asyncio.to_thread(self.generator.complete, prompts)
            except Exception as error:  # handed to every caller: verl logs it and counts the rollout as failed
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), completion in zip(batch, completions, strict=True):
                if not future.done():  # a caller may have given up
                    future.set_result(completion)

    async def _gather(self) -> None:
        while len(self.waiting) < max(expected for (_, expected), _ in self.waiting) or not self._announced():
            self.arrival.clear()
            try:
                await asyncio.wait_for(self.arrival.wait(), QUIET_SECONDS)
            except TimeoutError:
                return

    def _announced(self) -> bool:
        return any(expected for (_, expected), _ in self.waiting)

    async def update_weights(self, weights: dict[str, torch.Tensor], global_steps: int | None) -> None:
        """Take the trainer's weights; rollouts from here on carry this step as their version."""
        self.generator.load_weights(weights.items())
        self.global_steps = global_steps

    async def wake_up(self, **unused: Any) -> None:
        """Weights stay in memory on a CPU."""

    async def sleep(self, **unused: Any) -> None:
        """Weights stay in memory on a CPU."""

    async def clear_kv_cache(self) -> None:
        """No cache outlives a batch."""


class CpuServerAdapter(BaseRollout):
    """The trainer's side: sends the actor's weights to the server of its replica."""

    def __init__(self, config: Any, model_config: Any, device_mesh: Any, replica_rank: int = -1) -> None:
        super().__init__(config, model_config, device_mesh)
        self.rank = int(os.environ["RANK"]) if replica_rank == -1 else replica_rank
        self.server: Any = None

    async def resume(self, tags: list[str]) -> None:
        """Nothing was released."""

    async def release(self) -> None:
        """Nothing to release."""

    @torch.no_grad()
    async def update_weights(
        self,
        weights: Stream[tuple[str, torch.Tensor], None, None],
        global_steps: int | None = None,
        wire_format: str = "named_tensors",
        **unused: Any,
    ) -> None:
        """Send all weights through Ray's object store; from a GPU, too, where the server has none."""
        if wire_format != "named_tensors":
            raise ValueError(f"the CPU rollout takes wire_format=named_tensors, got {wire_format!r}")
        self.server = self.server or ray.get_actor(_server_name(self.rank))
        await self.server.update_weights.remote(
            {name: tensor.to("cpu", copy=True) for name, tensor in weights}, global_steps
        )


class CpuReplica(RolloutReplica):
    """One CPU rollout server, launched as a Ray actor beside the trainer's worker."""

    async def launch_servers(self) -> None:
        """Start the server actor and wait until its model is loaded."""
        if self.world_size != 1:
            raise ValueError(
                "the CPU rollout has no tensor or data parallelism: set rollout.tensor_model_parallel_size=1"
            )
        actor = ray.remote(CpuRolloutServer).options(
            name=_server_name(self.replica_rank), max_concurrency=self.max_concurrency, num_cpus=0
        )
        self._server_handle = actor.remote(self.config, self.model_config, self.replica_rank)
        self.servers = [self._server_handle]
        await self._server_handle.wake_up.remote()
        self._server_address = _server_name(self.replica_rank)
