"""Whether prompts fit: the tokens of images and text against the lengths that the config gives them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from easyr1_fgrpo.preflight.lengths import image_tokens, too_long
from easyr1_fgrpo.rows import BATCH_ROWS

TEXT_ALLOWANCE = 512
"""Tokens left for instruction, question and options where the data are not here to be measured."""


def vanishes(width: int, height: int, max_pixels: int, patch_size: int) -> bool:
    """Whether a picture within `pictures.MAX_RATIO` is too long for so few pixels.

    qwen_vl_utils (0.0.14) rounds the shorter side of a picture that it shrinks down to squares of two patches, and
    Pillow raises an error for a side of 0.
    """
    square = 2 * patch_size
    sides = [max(square, round(side / square) * square) for side in (width, height)]
    shrunk = sides[0] * sides[1] > max_pixels
    return shrunk and min(width, height) * max_pixels < max(width, height) * square**2


def length_problems(config: Any) -> Iterator[str]:
    """Lengths that do not agree with each other."""
    data, rollout, actor = config.data, config.actor_rollout_ref.rollout, config.actor_rollout_ref.actor
    longest = data.max_prompt_length + data.max_response_length
    if rollout.max_model_len is not None and rollout.max_model_len < longest:
        yield (
            f"actor_rollout_ref.rollout.max_model_len={rollout.max_model_len}: less than data.max_prompt_length + "
            f"data.max_response_length = {longest}"
        )
    if actor.use_dynamic_bsz and actor.ppo_max_token_len_per_gpu * actor.ulysses_sequence_parallel_size < longest:
        yield (
            f"actor_rollout_ref.actor.ppo_max_token_len_per_gpu={actor.ppo_max_token_len_per_gpu}: a rollout may have "
            f"{longest} tokens (data.max_prompt_length + data.max_response_length)"
        )
    if not rollout.enable_chunked_prefill and rollout.max_num_batched_tokens < longest:
        yield (
            f"actor_rollout_ref.rollout.max_num_batched_tokens={rollout.max_num_batched_tokens}: without chunked "
            f"prefill it must cover {longest} tokens"
        )


def image_problems(config: Any) -> Iterator[str]:
    """An image budget that the prompt does not cover, or that differs from the one of the warm start."""
    images, patch = config.fgrpo.images, config.data.image_patch_size
    room = config.data.max_prompt_length
    largest = image_tokens(images.max_pixels, patch)
    if largest >= room:
        yield (
            f"fgrpo.images.max_pixels={images.max_pixels}: an image may take {largest} tokens, all of "
            f"data.max_prompt_length={room} or more; {(room - min(TEXT_ALLOWANCE, room // 2)) * (2 * patch) ** 2} fits"
        )
    yield from start_problems(config)


def start_problems(config: Any) -> Iterator[str]:
    """A warm start, or the traces for it where it is still to be made, with other images or boxes than the run's."""
    images, model = config.fgrpo.images, str(config.actor_rollout_ref.model.path)
    marker = Path(model).expanduser() / BUDGET_FILE
    stages = config.get("stages", {})
    if marker.exists():
        trained = {"coordinates": "pixels", **json.loads(marker.read_text())}  # the only ones before they were noted
        yield from _convention_problems(
            images, trained["coordinates"], f"the warm start {model} writes", "and remove it"
        )
        for key in ("min_pixels", "max_pixels"):
            if trained[key] != images[key]:
                yield (
                    f"fgrpo.images.{key}={images[key]}: the warm start saw images with {key}={trained[key]}; boxes in "
                    "pixels would mean something else: use the same"
                )
    elif model == stages.get("warm_start") and not Path(model).exists() and Path(stages.sft_file).exists():
        summary = Path(stages.sft_file).with_name(SUMMARY_FILE)
        policy = json.loads(summary.read_text()).get("policy", {}) if summary.exists() else {}
        written = policy.get("coordinates", "pixels")
        fix = f'or, for traces of yours, note {{"policy": {{"coordinates": "{images.coordinates}"}}}} in {summary}'
        yield from _convention_problems(images, written, f"the traces stages.sft_file={stages.sft_file} write", fix)
        for key in ("min_pixels", "max_pixels"):
            if written == "pixels" and policy.get(key, images[key]) != images[key]:
                yield (
                    f"fgrpo.images.{key}={images[key]}: the traces stages.sft_file={stages.sft_file} are for images "
                    f"with {key}={policy[key]}, and their boxes in pixels of these: use the same"
                )


def _convention_problems(images: Any, written: str, who: str, fix: str) -> Iterator[str]:
    if written != images.coordinates:
        yield (
            f"fgrpo.images.coordinates={images.coordinates}: {who} boxes in {written}: make traces with "
            f"`fgrpo data mcts ... --policy-coordinates {images.coordinates}` (no further call of the teacher) {fix}"
        )


def prompt_problems(path: Path, config: Any) -> Iterator[str]:
    """Rows whose images and text do not fit the prompt, or an image the budget: told without decoding, a line each."""
    images, patch, room = config.fgrpo.images, config.data.image_patch_size, config.data.max_prompt_length
    vanishing: list[str] = []
    number = 0

    def questions() -> Iterator[tuple[str, int, int]]:
        nonlocal number
        for batch in pq.ParquetFile(path).iter_batches(batch_size=BATCH_ROWS * 16, columns=["prompt", "extra_info"]):
            for row in batch.to_pylist():
                width, height = row["extra_info"]["width"], row["extra_info"]["height"]
                if vanishes(width, height, images.max_pixels, patch):
                    vanishing.append(f"row {number} with {width} x {height} pixels")
                number += 1
                yield "".join(message["content"] for message in row["prompt"]), width, height

    long = too_long(questions(), room, pixels=(images.min_pixels, images.max_pixels), patch_size=patch)
    if vanishing:
        yield (
            f"fgrpo.images.max_pixels={images.max_pixels}: {len(vanishing)} of {number} rows of {path} have a picture "
            f"too long to be resized to it, {vanishing[0]} first; raise it or leave them out"
        )
    if long:
        tokens, row = max(long)
        yield (
            f"data.max_prompt_length={room}: {len(long)} of {number} rows of {path} may not fit, row {row} with "
            f"about {tokens} tokens most of all; raise it or lower fgrpo.images.max_pixels={images.max_pixels}"
        )


BUDGET_FILE = "image_budget.json"
"""Beside a warm start's checkpoint: the pixel budget it was trained with, and how it writes boxes."""

SUMMARY_FILE = "summary.json"
"""Beside an SFT file of `fgrpo data mcts`: among other things how its traces write boxes, and for which images."""
