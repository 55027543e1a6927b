"""One turn of generation whose sampling seed is the rollout's own, and whose prompt is shared with its siblings."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Any

from verl.experimental.agent_loop.agent_loop import AgentLoopOutput, register
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop

from easyr1_fgrpo.verl_plugin.names import AGENT_LOOP, CPU_ROLLOUT
from easyr1_fgrpo.verl_plugin.shared_prompt import shared


def rollout_seed(base: int, step: int, index: int, session: int) -> int:
    """A 63-bit seed for one rollout: run seed, step, dataset row and number within the group."""
    digest = hashlib.sha256(f"{base}/{step}/{index}/{session}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


@register(AGENT_LOOP)
class SeededSingleTurn(SingleTurnAgentLoop):
    """verl's single-turn agent loop with a seed for every rollout, and one processing of its prompt for all of them."""

    async def run(self, sampling_params: dict[str, Any], priority: int = 0, **row: Any) -> AgentLoopOutput:
        """Generate one rollout of one dataset row."""
        params = dict(sampling_params)
        params["seed"] = rollout_seed(
            self.rollout_config.seed, int(row["global_steps"]), int(row["index"]), int(row["session_id"])
        )
        if self.rollout_config.name == CPU_ROLLOUT and row["extra_info"]["split"] == "train":
            # The CPU server waits for the whole step, so that a batch is the same however fast requests arrive.
            params["expected"] = self.data_config.train_batch_size * self.rollout_config.n
        return await super().run(params, priority=priority, **row)

    async def process_multi_modal_info(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        """The pictures of the prompt, decoded and resized once for its rollouts."""
        find = super().process_multi_modal_info
        prompt = shared()
        media: dict[str, Any] = await (prompt.find_media(partial(find, messages)) if prompt else find(messages))
        return media

    async def ct_build_initial_tokens(
        self, messages: list[dict[str, Any]], *, mm_inputs_out: dict[str, Any] | None = None, **media: Any
    ) -> list[int]:
        """The prompt's ids, and what its pictures are to the model, made once for its rollouts."""
        encode, prompt = super().ct_build_initial_tokens, shared()
        if prompt is None:
            ids: list[int] = await encode(messages, mm_inputs_out=mm_inputs_out, **media)
            return ids
        ids, processed = await prompt.encode(
            lambda processed: encode(messages, mm_inputs_out=processed, **media),
            getattr(self.processor, "image_processor", None),
        )
        if mm_inputs_out is not None:
            mm_inputs_out.update(processed)
        return ids
