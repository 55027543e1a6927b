"""One turn of generation whose sampling seed is the rollout's own: repeatable whatever shares its batch."""

from __future__ import annotations

import hashlib
from typing import Any

from verl.experimental.agent_loop.agent_loop import AgentLoopOutput, register
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop

from easyr1_fgrpo.verl_plugin.names import AGENT_LOOP, CPU_ROLLOUT


def rollout_seed(base: int, step: int, index: int, session: int) -> int:
    """A 63-bit seed for one rollout: run seed, step, dataset row and number within the group."""
    digest = hashlib.sha256(f"{base}/{step}/{index}/{session}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


@register(AGENT_LOOP)
class SeededSingleTurn(SingleTurnAgentLoop):
    """verl's single-turn agent loop with a seed of its own for every rollout."""

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
