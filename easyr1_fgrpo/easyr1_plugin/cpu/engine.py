"""What EasyR1 asks of vLLM, answered by our generator: one engine in each rank, weights copied name by name.

A response depends on the prompt, its picture, the number of the weight sync and its own number: not on the rank that
generates it, nor on what else is generated.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch
from PIL.Image import Image

from easyr1_fgrpo.generation.generator import Generator, Prompt
from easyr1_fgrpo.generation.sampling import Sampling

ROWS = 20
"""Responses that are generated at a time."""


class Absent:
    """Anything else of vLLM that is imported, and not used on a CPU."""


@dataclass
class SamplingParams:
    """Of vLLM's, what EasyR1's rollout config has, too."""

    n: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = -1
    max_tokens: int = 16
    detokenize: bool = True
    logit_bias: Mapping[int, float] | None = None
    seed: int | None = None
    ignore_eos: bool = False


@dataclass
class RequestOutput:
    """The responses to one prompt, in `outputs`, each with its `token_ids`."""

    outputs: list[SimpleNamespace] = field(default_factory=list)


class LLM:
    """One rank's engine."""

    def __init__(self, model: str, seed: int, trust_remote_code: bool = False, **unused: Any) -> None:
        self.generator = Generator(model, rows=ROWS, prompt_length=None, trust_remote_code=trust_remote_code)
        self.seed = seed
        self.syncs = 0
        runner = SimpleNamespace(model=SimpleNamespace(load_weights=self._load_weights))
        executor = SimpleNamespace(driver_worker=SimpleNamespace(worker=SimpleNamespace(model_runner=runner)))
        self.llm_engine = SimpleNamespace(model_executor=executor)

    def sleep(self, level: int = 1) -> None:
        """Weights stay in memory on a CPU."""

    def wake_up(self) -> None:
        """Weights stay in memory on a CPU."""

    def generate(
        self, prompts: Sequence[Mapping[str, Any]], sampling_params: SamplingParams, **unused: Any
    ) -> list[RequestOutput]:
        """The responses to all prompts, each with its token ids and its pictures."""
        wanted = [self._prompt(prompt, sampling_params, n) for prompt in prompts for n in range(sampling_params.n)]
        found = [SimpleNamespace(token_ids=completion.ids) for completion in self.generator.complete(wanted)]
        return [RequestOutput(found[at : at + sampling_params.n]) for at in range(0, len(found), sampling_params.n)]

    def _prompt(self, given: Mapping[str, Any], params: SamplingParams, number: int) -> Prompt:
        images = tuple((given.get("multi_modal_data") or {}).get("image", ()))
        sampling = Sampling(
            temperature=params.temperature,
            top_p=params.top_p,
            top_k=params.top_k,
            seed=_seed(self.seed, self.syncs, given["prompt_token_ids"], images, number),
        )
        ids = self._with_patches(given["prompt_token_ids"], images)
        return Prompt(ids=ids, images=images, sampling=sampling, max_new_tokens=params.max_tokens)

    def _with_patches(self, ids: Iterable[int], images: Sequence[Image]) -> tuple[int, ...]:
        """Each picture's one placeholder as often as the picture has merged patches, as vLLM does."""
        processor = self.generator.processor.image_processor
        grids = processor(images=list(images), return_tensors="pt")["image_grid_thw"] if images else ()
        patches = [int(grid.prod()) // processor.merge_size**2 for grid in grids]
        expanded: list[int] = []
        for token in ids:
            expanded += [int(token)] * (patches.pop(0) if token == self.generator.image_id else 1)
        return tuple(expanded)

    def _load_weights(self, weights: Iterable[tuple[str, torch.Tensor]]) -> None:
        names: Mapping[str, str] = getattr(self.generator.model, "_checkpoint_conversion_mapping", {})
        self.generator.load_weights((_in_memory(name, names), tensor.cpu()) for name, tensor in weights)
        self.syncs += 1


def _in_memory(name: str, names: Mapping[str, str]) -> str:
    """A weight's name on disk -> in transformers' model; by its patterns, of which the first that fits counts."""
    for pattern, replacement in names.items():
        name, found = re.subn(pattern, replacement, name)
        if found:
            break
    return name


def _seed(base: int, sync: int, ids: Iterable[int], images: Sequence[Image], number: int) -> int:
    digest = hashlib.sha256(f"{base}/{sync}/{number}/{list(map(int, ids))}".encode())
    for image in images:
        digest.update(image.tobytes())
    return int.from_bytes(digest.digest()[:8], "big") >> 1


# ---------------------------------------------------------------------- vllm.distributed.parallel_state


def get_tensor_model_parallel_world_size() -> int:
    """No tensor parallelism on a CPU."""
    return 1


def get_tensor_model_parallel_rank() -> int:
    """No tensor parallelism on a CPU."""
    return 0


def get_tensor_model_parallel_group() -> SimpleNamespace:
    """A group of this rank alone."""
    group, _ = torch.distributed.new_subgroups(group_size=1)
    return SimpleNamespace(device_group=group)
