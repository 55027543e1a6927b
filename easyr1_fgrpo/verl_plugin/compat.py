"""Patches to verl 0.9.1 that no registration can replace: each says what, why and until when.

`fgrpo doctor` prints this list and whether each patch is still needed. A patch is applied right after verl imports
the module that it fixes, and only to the version it was written for.
"""

from __future__ import annotations

import os
import sys
from functools import partial, wraps
from types import ModuleType, SimpleNamespace
from typing import Any

import wrapt

from easyr1_fgrpo.generation.processor import drop_video_processor, torchvision_missing
from easyr1_fgrpo.verl_plugin.patch import PATCHES, Patch, patch, source_holds

__all__ = ["PATCHES", "apply_patches"]


@patch(
    "micro-batches without images",
    "verl.models.transformers.qwen2_vl",
    why="with transformers 5 the vision tower returns a model output, whose .mean() does not exist",
    until="verl unpacks the visual output in its text-only branch",
    needed=source_holds("image_embeds = model.visual(pixel_values, grid_thw=image_grid_thw)\n", "_get_input_embeds"),
    everywhere=True,
)
def _fix_text_only_branch(module: Any) -> None:
    original = module._get_input_embeds

    @wraps(original)
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

    module._get_input_embeds = get_input_embeds


@patch(
    "batches of equal length",
    "verl.utils.tensordict_utils",
    why="when all sequences are equally long, 3D position ids are ragged along another dimension than verl sets",
    until="verl builds its nested position ids with the token dimension ragged",
    needed=source_holds('data["position_ids"]._ragged_idx = 2', "maybe_fix_3d_position_ids"),
    everywhere=True,
)
def _fix_equal_lengths(module: Any) -> None:
    original = module.maybe_fix_3d_position_ids

    @wraps(original)
    def maybe_fix_3d_position_ids(data: Any) -> None:
        position_ids = data.get("position_ids", None)
        if position_ids is not None and _ragged_along_rows(position_ids):
            data["position_ids"] = _ragged_along_tokens(position_ids)
        original(data)

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


@patch(
    "process group backend",
    "verl.utils.distributed",
    why='verl asks torch for the backend "cpu:gloo,cpu:gloo", which torch refuses',
    until="verl builds the backend string without naming the CPU twice",
    needed=source_holds('f"cpu:gloo,{get_device_name()}:', "initialize_global_process_group_ray"),
)
def _fix_process_group(module: Any) -> None:
    # torch refuses "cpu:gloo,cpu:gloo"; gloo under the name of an absent device leaves the CPU group alone.
    module.get_device_name = lambda: "cuda"


@patch(
    "reference model offload",
    "verl.workers.engine.fsdp.transformer_impl",
    why="the reference model's CPUOffloadPolicy pins memory, which needs an accelerator",
    until="verl pins memory only where an accelerator exists",
    needed=source_holds("CPUOffloadPolicy(pin_memory=True)", "FSDPEngine", "_build_fsdp_module"),
)
def _fix_offload_policy(module: Any) -> None:
    policy = module.CPUOffloadPolicy
    module.CPUOffloadPolicy = lambda pin_memory=True: policy(pin_memory=False)


@patch(
    "processors without torchvision",
    "transformers.processing_utils",
    why="transformers builds a video processor for every Qwen-VL processor, which needs torchvision",
    until="torchvision has a CPU wheel for this torch",
    needed=lambda module: torchvision_missing(),
    everywhere=True,
)
def _fix_video_processor(module: Any) -> None:
    drop_video_processor(module.ProcessorMixin)


@patch(
    "counting placeholders",
    "transformers.processing_utils",
    why="transformers makes a tensor of every token to count placeholders: milliseconds, three times a rollout",
    until="transformers counts them in a list or at once",
    needed=source_holds("list(ids).count(token_id)", "ProcessorMixin", "_check_special_mm_tokens"),
)
def _fix_placeholder_count(module: Any) -> None:
    original = module.ProcessorMixin._check_special_mm_tokens

    @wraps(original)
    def check(self: Any, text: list[str], text_inputs: Any, modalities: list[str]) -> None:
        ids = text_inputs["input_ids"]
        original(self, text, {"input_ids": ids.tolist() if hasattr(ids, "tolist") else ids}, modalities)

    module.ProcessorMixin._check_special_mm_tokens = check


@patch(
    "building agent loops",
    "verl.experimental.agent_loop.agent_loop",
    why="for every rollout hydra copies and merges what its agent loop is given: some 8 ms, a tenth of a step",
    until="verl builds agent loops without hydra, or once",
    needed=source_holds("agent_loop = hydra.utils.instantiate(", "AgentLoopWorker", "_run_agent_loop"),
)
def _fix_agent_loop_building(module: Any) -> None:
    hydra = module.hydra

    def instantiate(config: Any, **given: Any) -> Any:
        if set(config) != {"_target_"}:
            return hydra.utils.instantiate(config=config, **given)
        return hydra.utils.get_object(config["_target_"])(**given)

    module.hydra = SimpleNamespace(utils=SimpleNamespace(instantiate=instantiate), __wrapped__=hydra)


@patch(
    "log-probabilities of many tokens",
    "verl.utils.torch_functional",
    why="without flash-attn verl normalises the logits of each token by itself: 10,000 small calls, three times a step",
    until="verl takes many tokens at once",
    needed=source_holds("torch.stack([torch.logsumexp(logit, dim=-1) for logit in logits])", "logprobs_from_logits_v2"),
)
def _fix_token_log_probs(module: Any) -> None:
    import torch

    original = module.logprobs_from_logits_v2
    at_once = 1024  # tokens: as many copies of their logits are in memory

    @wraps(original)
    def logprobs_from_logits_v2(logits: Any, labels: Any) -> Any:
        if logits.dim() != 2 or logits.dtype not in (torch.float32, torch.float64):
            return original(logits, labels)
        norms_T = torch.cat([torch.logsumexp(part, dim=-1) for part in logits.split(at_once)])
        return torch.gather(logits, dim=-1, index=labels.unsqueeze(-1)).squeeze(-1) - norms_T

    module.logprobs_from_logits_v2 = logprobs_from_logits_v2


@patch(
    "one processing of a prompt",
    "verl.experimental.agent_loop.agent_loop",
    why="each of a prompt's n rollouts decodes its pictures and puts them through the processor three times",
    until="verl processes a prompt once for all its rollouts",
    needed=source_holds("build_multimodal_processor_inputs(", "AgentLoopWorker", "_compute_multi_modal_inputs"),
    everywhere=True,
)
def _fix_processing(module: Any) -> None:
    from easyr1_fgrpo.verl_plugin.shared_prompt import share_prompts

    share_prompts(module.AgentLoopWorker)


@patch(
    "pixel values in levels",
    "verl.utils.model",
    why="each rollout's pixel values go through the queue as floats for two frames, eight times the picture's bytes",
    until="verl's queue carries a prompt's pixel values once",
    needed=source_holds("multi_modal_inputs_collected[key].append(value)", "extract_multi_modal_inputs"),
    everywhere=True,
)
def _fix_pixel_values(module: Any) -> None:
    from easyr1_fgrpo.verl_plugin.pixel_levels import reading_levels

    module.extract_multi_modal_inputs = reading_levels(module.extract_multi_modal_inputs)


@patch(
    "locks for making folders",
    "verl.utils.fs",
    why="each process locks under a name of its own (hash() is salted), and leaves that file in the temporary folder",
    until="verl makes folders without a lock",
    needed=source_holds('lock_filename = f"ckpt_{hash(path)', "local_mkdir_safe"),
    everywhere=True,
)
def _fix_folder_locks(module: Any) -> None:
    @wraps(module.local_mkdir_safe)
    def local_mkdir_safe(path: str) -> str:
        os.makedirs(path, exist_ok=True)
        return os.path.abspath(path)

    module.local_mkdir_safe = local_mkdir_safe


def apply_patches() -> None:
    """Arrange for every wanted patch to be applied when verl imports the module it fixes."""
    if torchvision_missing() and "qwen_vl_utils" not in sys.modules:
        # Not a patch of verl: a stand-in for a package that cannot be imported here at all.
        from easyr1_fgrpo.verl_plugin.cpu.vision import stand_in

        sys.modules["qwen_vl_utils"] = stand_in()
    for each in PATCHES:
        if each.wanted():
            wrapt.register_post_import_hook(partial(_apply_if_needed, each), each.module)


def _apply_if_needed(one: Patch, module: ModuleType) -> None:
    if one.needed(module):
        one.apply(module)
