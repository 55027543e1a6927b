"""verl's FSDP engine with a vision tower that can be frozen, for RL and for the warm start alike.

verl 0.9.1 has the key `actor.freeze_vision_tower`, but no FSDP code reads it. Here the model's override
`freeze_vision_tower` does what that key says: the tower is frozen where the model is built, before FSDP shards it and
before the optimizer collects its parameters. The projector (`merger`, and Qwen3-VL's `deepstack_merger_list`) belongs
to the tower in RL and stays trainable in the warm start: `freeze_vision_tower: true | false | keep_projector`.

On the CPU it also leaves batches where they are, which verl would move there.
"""

from __future__ import annotations

from typing import Any

import torch
from verl.utils.device import get_device_name
from verl.workers.engine import EngineRegistry, FSDPEngineWithLMHead

FREEZE_KEY = "freeze_vision_tower"
KEEP_PROJECTOR = "keep_projector"


@EngineRegistry.register(model_type="language_model", backend=["fsdp", "fsdp2"], device="cpu")
@EngineRegistry.register(
    model_type="language_model", backend=["fsdp", "fsdp2"], device="cuda", vendor=["nvidia", "amd"]
)
class FrozenVisionEngine(FSDPEngineWithLMHead):
    """FSDP with language-model head whose vision tower is frozen when the model's override asks for it."""

    def _build_module(self) -> Any:
        module = super()._build_module()
        freeze = self.model_config.override_config.get(FREEZE_KEY, False)
        if freeze not in (True, False, KEEP_PROJECTOR):
            raise ValueError(f"{FREEZE_KEY} is true, false or {KEEP_PROJECTOR}, got {freeze!r}")
        if freeze:
            holders: tuple[Any, ...] = (module, getattr(module, "model", None))
            tower = next((holder.visual for holder in holders if hasattr(holder, "visual")), None)
            if tower is None:
                raise ValueError(
                    f"{FREEZE_KEY}={freeze} but {type(module).__name__} has no vision tower: set it to false"
                )
            tower.requires_grad_(False)
            if freeze == KEEP_PROJECTOR:
                tower.merger.requires_grad_(True)
                if (deepstack := getattr(tower, "deepstack_merger_list", None)) is not None:  # Qwen3-VL's further ones
                    deepstack.requires_grad_(True)
        return module

    def forward_step(self, micro_batch: Any, loss_function: Any, forward_only: bool) -> Any:
        """One micro-batch through the model."""
        if get_device_name() == "cpu":
            # verl moves every batch to its device. Told that it is there, tensordict does not rebuild the containers of
            # all pictures to find nothing to move: a fifth of the miniature's forward passes.
            micro_batch._device = torch.device("cpu")
        return super().forward_step(micro_batch, loss_function, forward_only)
