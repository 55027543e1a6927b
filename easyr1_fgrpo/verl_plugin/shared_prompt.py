"""What the rollouts of a prompt share: pictures, prompt ids and what the model reads beside them, made once.

verl makes all of it anew for each rollout, and puts the pictures through the processor three times. All rollouts of a
prompt run at the same time in one agent loop worker, so there the first makes it and the others take it; it is gone
when the last of them ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any
from weakref import WeakValueDictionary

import torch

from easyr1_fgrpo.verl_plugin.pixel_levels import in_levels


class SharedPrompt:
    """Made by the first rollout that needs it; a failure is the failure of each rollout, as without sharing.

    Attributes:
        media: what verl's agent loop finds in the messages: `images`, if there are any; None until then.
        prompt_ids: token ids of the whole prompt; None until they are made.
        processed: what the processor made of it, beside the ids.
        inputs: that, as the actor gets it.
    """

    def __init__(self) -> None:
        self._one_at_a_time = asyncio.Lock()
        self.media: dict[str, Any] | None = None
        self.prompt_ids: list[int] | None = None
        self.processed: dict[str, Any] = {}
        self.inputs: dict[str, Any] = {}

    async def find_media(self, find: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        """The media of the messages; `find` finds them."""
        async with self._one_at_a_time:
            if self.media is None:
                self.media = await find()
            return self.media

    async def encode(
        self, encode: Callable[[dict[str, Any]], Awaitable[list[int]]], image_processor: Any
    ) -> tuple[list[int], dict[str, Any]]:
        """The prompt's ids, a list of the caller's own, and what the processor made beside them.

        Args:
            encode: returns the ids, and fills in what the processor makes beside them.
            image_processor: of the model; None where it reads text only.
        """
        async with self._one_at_a_time:
            if self.prompt_ids is None:
                processed: dict[str, Any] = {}
                ids = await encode(processed)
                self.inputs = await asyncio.to_thread(_model_inputs, processed, image_processor)
                # Only verl's loop for SGLang reads on, and videos only; floats of pictures are hundreds of megabytes.
                self.processed = {name: value for name, value in processed.items() if name != "pixel_values"}
                self.prompt_ids = ids
            return list(self.prompt_ids), self.processed

    def inputs_for(self, media: dict[str, Any]) -> dict[str, Any] | None:
        """The inputs of a rollout that saw these media: a dictionary of its own, for verl takes from it.

        None when the rollout saw others (a tool's pictures, say), and for videos and sounds: verl processes those.
        """
        ours = self.media or {}
        same = media.keys() == ours.keys() and all(media[name] is ours[name] for name in ours)
        made = "pixel_values" in self.inputs or not ours
        return dict(self.inputs) if same and made and self.inputs and ours.keys() <= {"images"} else None


_prompts: WeakValueDictionary[str, SharedPrompt] = WeakValueDictionary()
"""By verl's uid; each rollout that runs holds its own."""

_of_this_rollout: ContextVar[SharedPrompt | None] = ContextVar("shared_prompt", default=None)
"""verl runs each rollout in an asyncio task of its own, and so in a context of its own."""


def shared() -> SharedPrompt | None:
    """What this rollout shares; None outside of one."""
    return _of_this_rollout.get()


def share_prompts(worker: Any) -> None:
    """Change verl's `AgentLoopWorker` in place: rollouts of one prompt share, and what they share is not made again."""
    run, compute = worker._run_agent_loop, worker._compute_multi_modal_inputs

    @wraps(run)
    async def run_agent_loop(self: Any, *sampling: Any, **rollout: Any) -> Any:
        uid = rollout.get("uid")  # verl's other trainers need not give one
        prompt = SharedPrompt()
        _of_this_rollout.set(prompt if uid is None else _prompts.setdefault(uid, prompt))
        return await run(self, *sampling, **rollout)

    @wraps(compute)
    def compute_multi_modal_inputs(self: Any, output: Any, input_ids: Any) -> Any:
        prompt = shared()
        inputs = prompt.inputs_for(output.multi_modal_data or {}) if prompt else None
        return compute(self, output, input_ids) if inputs is None else inputs

    worker._run_agent_loop = run_agent_loop
    worker._compute_multi_modal_inputs = compute_multi_modal_inputs


def _model_inputs(processed: dict[str, Any], image_processor: Any) -> dict[str, Any]:
    """What verl's `_compute_multi_modal_inputs` makes of the same processor's output, pictures in levels."""
    inputs = {name: value for name, value in processed.items() if name != "attention_mask"}
    grid = inputs.get("image_grid_thw")
    if grid is not None:
        inputs["images_seqlens"] = torch.repeat_interleave(grid[:, 1] * grid[:, 2], grid[:, 0])
    return in_levels(inputs, image_processor)
