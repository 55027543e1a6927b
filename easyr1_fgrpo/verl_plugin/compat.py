"""Patches to verl 0.9.1 that no registration can replace: each says what, why and until when.

`fgrpo doctor` prints this list and whether each patch is still needed. A patch is applied right after verl imports
the module that it mends, and only to the version it was written for.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from types import ModuleType, SimpleNamespace
from typing import Any

import wrapt

from easyr1_fgrpo.generation.processor import drop_video_processor, torchvision_missing

PATCHED_VERL = "0.9.1"


def on_cpu() -> bool:
    """Whether this process trains on the CPU platform (VERL_PLATFORM=cpu)."""
    return os.environ.get("VERL_PLATFORM", "").strip().lower() == "cpu"


@dataclass(frozen=True)
class Patch:
    """One mend of one module.

    Attributes:
        name: what is mended.
        module: the module that is mended, patched right after its import.
        why: what happens without it.
        until: when it can go.
        cpu_only: whether it is applied with VERL_PLATFORM=cpu only.
        needed: looks at the unpatched module and says whether the fault is still there.
        apply: mends the module in place.
    """

    name: str
    module: str
    why: str
    until: str
    cpu_only: bool
    needed: Callable[[ModuleType], bool]
    apply: Callable[[ModuleType], None]

    def wanted(self) -> bool:
        """Whether this process wants the patch: right verl version, right platform."""
        return version("verl") == PATCHED_VERL and (on_cpu() or not self.cpu_only)


def _source_holds(text: str, *path: str) -> Callable[[ModuleType], bool]:
    """A probe: does the source of `module.path` hold this text?"""

    def probe(module: ModuleType) -> bool:
        import inspect

        target: Any = module
        for name in path:
            target = getattr(target, name)
        return text in inspect.getsource(inspect.unwrap(target))

    return probe


def _mend_text_only_branch(module: Any) -> None:
    original = module._get_input_embeds

    def get_input_embeds(
        model: Any,
        input_ids: Any,
        attention_mask: Any = None,
        pixel_values: Any = None,
        pixel_values_videos: Any = None,
        *grids: Any,
        **named_grids: Any,
    ) -> Any:
        if pixel_values is not None or pixel_values_videos is not None:
            return original(model, input_ids, attention_mask, pixel_values, pixel_values_videos, *grids, **named_grids)
        # Without images the vision tower still has to take part in the graph, or FSDP ranks wait for each other.
        embeds = model.get_input_embeddings()(input_ids)
        vision = model.config.vision_config
        patches = embeds.new_zeros(16, vision.in_channels * vision.temporal_patch_size * vision.patch_size**2)
        grid = input_ids.new_tensor([[1, 4, 4]])
        features, _ = module.unpack_visual_output(model.visual(patches, grid_thw=grid))
        mask = attention_mask if attention_mask is None else attention_mask.to(embeds.device)
        return embeds + 0.0 * features.mean(), mask

    get_input_embeds.__wrapped__ = original  # type: ignore[attr-defined]
    module._get_input_embeds = get_input_embeds


def _mend_equal_lengths(module: Any) -> None:
    original = module.maybe_fix_3d_position_ids

    def maybe_fix_3d_position_ids(data: Any) -> None:
        position_ids = data.get("position_ids", None)
        if position_ids is not None and _ragged_along_rows(position_ids):
            data["position_ids"] = _ragged_along_tokens(position_ids)
        original(data)

    maybe_fix_3d_position_ids.__wrapped__ = original  # type: ignore[attr-defined]
    module.maybe_fix_3d_position_ids = maybe_fix_3d_position_ids


def _ragged_along_rows(position_ids: Any) -> bool:
    """Whether torch took the position rows for the ragged dimension, as it does when all sequences are equally long."""
    return bool(
        position_ids.is_nested
        and position_ids.dim() == 3
        and position_ids.values().shape[0] == int(position_ids.offsets()[-1])
    )


def _ragged_along_tokens(position_ids: Any) -> Any:
    """(B, rows, T) with equal T, stored as (B * rows, T) -> the same, stored as (rows, B * T) with T ragged."""
    import torch

    batch = position_ids.offsets().numel() - 1
    rows = position_ids.values().unflatten(0, (batch, -1))
    length = rows.shape[-1]
    return torch.nested.nested_tensor_from_jagged(
        rows.transpose(0, 1).flatten(1).contiguous(),
        offsets=torch.arange(batch + 1, device=rows.device) * length,
        jagged_dim=2,
    )


def _mend_process_group(module: Any) -> None:
    # torch refuses "cpu:gloo,cpu:gloo"; gloo under the name of an absent device leaves the CPU group alone.
    module.get_device_name = lambda: "cuda"


def _mend_offload_policy(module: Any) -> None:
    module.CPUOffloadPolicy = _UnpinnedOffload(module.CPUOffloadPolicy)


class _UnpinnedOffload:
    """Builds the same policy without pinned memory, which only an accelerator can pin."""

    def __init__(self, policy: Any) -> None:
        self.policy = policy

    def __call__(self, pin_memory: bool = True) -> Any:
        return self.policy(pin_memory=False)


def _mend_placeholder_count(module: ModuleType) -> None:
    original = module.ProcessorMixin._check_special_mm_tokens

    def check(self: Any, text: list[str], text_inputs: Any, modalities: list[str]) -> None:
        ids = text_inputs["input_ids"]
        original(self, text, {"input_ids": ids.tolist() if hasattr(ids, "tolist") else ids}, modalities)

    check.__wrapped__ = original  # type: ignore[attr-defined]
    module.ProcessorMixin._check_special_mm_tokens = check


def _mend_agent_loop_building(module: Any) -> None:
    hydra = module.hydra

    def instantiate(config: Any, **given: Any) -> Any:
        if set(config) != {"_target_"}:
            return hydra.utils.instantiate(config=config, **given)
        return hydra.utils.get_object(config["_target_"])(**given)

    module.hydra = SimpleNamespace(utils=SimpleNamespace(instantiate=instantiate), __wrapped__=hydra)


PATCHES: tuple[Patch, ...] = (
    Patch(
        name="micro-batches without images",
        module="verl.models.transformers.qwen2_vl",
        why="with transformers 5 the vision tower returns a model output, whose .mean() does not exist",
        until="verl unpacks the visual output in its text-only branch",
        cpu_only=False,
        needed=_source_holds(
            "image_embeds = model.visual(pixel_values, grid_thw=image_grid_thw)\n", "_get_input_embeds"
        ),
        apply=_mend_text_only_branch,
    ),
    Patch(
        name="batches of equal length",
        module="verl.utils.tensordict_utils",
        why="when all sequences are equally long, 3D position ids are ragged along another dimension than verl sets",
        until="verl builds its nested position ids with the token dimension ragged",
        cpu_only=False,
        needed=_source_holds('data["position_ids"]._ragged_idx = 2', "maybe_fix_3d_position_ids"),
        apply=_mend_equal_lengths,
    ),
    Patch(
        name="process group backend",
        module="verl.utils.distributed",
        why='verl asks torch for the backend "cpu:gloo,cpu:gloo", which torch refuses',
        until="verl builds the backend string without naming the CPU twice",
        cpu_only=True,
        needed=_source_holds('f"cpu:gloo,{get_device_name()}:', "initialize_global_process_group_ray"),
        apply=_mend_process_group,
    ),
    Patch(
        name="reference model offload",
        module="verl.workers.engine.fsdp.transformer_impl",
        why="the reference model's CPUOffloadPolicy pins memory, which needs an accelerator",
        until="verl pins memory only where an accelerator exists",
        cpu_only=True,
        needed=_source_holds("CPUOffloadPolicy(pin_memory=True)", "FSDPEngine", "_build_fsdp_module"),
        apply=_mend_offload_policy,
    ),
    Patch(
        name="processors without torchvision",
        module="transformers.processing_utils",
        why="transformers builds a video processor for every Qwen-VL processor, which needs torchvision",
        until="torchvision has a CPU wheel for this torch",
        cpu_only=True,
        needed=lambda module: torchvision_missing(),
        apply=lambda module: drop_video_processor(module.ProcessorMixin),
    ),
    Patch(
        name="counting placeholders",
        module="transformers.processing_utils",
        why="transformers makes a tensor of every token to count placeholders: milliseconds, three times a rollout",
        until="transformers counts them in a list or at once",
        cpu_only=True,
        needed=_source_holds("list(ids).count(token_id)", "ProcessorMixin", "_check_special_mm_tokens"),
        apply=_mend_placeholder_count,
    ),
    Patch(
        name="building agent loops",
        module="verl.experimental.agent_loop.agent_loop",
        why="for every rollout hydra copies and merges what its agent loop is given: some 8 ms, a tenth of a step",
        until="verl builds agent loops without hydra, or once",
        cpu_only=True,
        needed=_source_holds("agent_loop = hydra.utils.instantiate(", "AgentLoopWorker", "_run_agent_loop"),
        apply=_mend_agent_loop_building,
    ),
)


def apply_patches() -> None:
    """Arrange for every wanted patch to be applied when verl imports the module it mends."""
    if on_cpu() and torchvision_missing() and "qwen_vl_utils" not in sys.modules:
        # Not a patch of verl: a stand-in for a package that cannot be imported here at all.
        from easyr1_fgrpo.verl_plugin.cpu.vision import stand_in

        sys.modules["qwen_vl_utils"] = stand_in()
    for patch in PATCHES:
        if patch.wanted():
            wrapt.register_post_import_hook(partial(_apply_if_needed, patch), patch.module)


def _apply_if_needed(patch: Patch, module: ModuleType) -> None:
    if patch.needed(module):
        patch.apply(module)
