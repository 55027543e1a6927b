"""Train the tiny backbone that has learned to look: `fgrpo miniature backbone --out DIR --seed N`.

It stands in for a pretrained Qwen2.5-VL. First the vision tower learns to see (per image token: colour, shape and box
of what lies there), then it is frozen and the language model learns to read it, from true traces, shortened traces and
direct answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from easyr1_fgrpo.files import whole_folder
from easyr1_fgrpo.miniature.example import Example
from easyr1_fgrpo.miniature.model import HIDDEN, build_image_processor, build_model, save_checkpoint
from easyr1_fgrpo.miniature.render import render
from easyr1_fgrpo.miniature.scene import CELL, COLOURS, SHAPES, SIDE, STEP, Scene
from easyr1_fgrpo.miniature.teacher import backbone_response
from easyr1_fgrpo.miniature.tokenizer import build_tokenizer
from easyr1_fgrpo.miniature.worlds import WORLDS, World, WorldName
from easyr1_fgrpo.terminal import progress_bar

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

GRID = SIDE // CELL
BATCH = 64
POOL = 2048  # different pictures; each gets fresh text whenever it is drawn
IGNORED = -100


@dataclass(frozen=True)
class Pool:
    """Examples with their pictures as patches, (N, 36, 1176)."""

    examples: list[Example]
    patches: Tensor


def train_backbone(
    out: Path, *, seed: int, steps: int = 300, vision_steps: int = 150, world: WorldName = "one_step"
) -> None:
    """Train and save one backbone as a Hugging Face checkpoint with tokenizer and processor.

    Args:
        out: folder to write; must be new or empty.
        seed: of weights and data.
        steps: of the language model; 0 leaves everything random.
        vision_steps: of the vision tower.
        world: whose scenes and language.

    Raises:
        FileExistsError: when `out` holds something.
    """
    tokenizer = build_tokenizer(WORLDS[world])
    model = build_model(tokenizer, seed)
    with whole_folder(out) as folder:
        if steps:
            rng = np.random.default_rng(seed)
            pool = draw_pool(WORLDS[world], rng, POOL)
            learn_to_see(model, pool, rng, vision_steps)
            learn_to_read(model, tokenizer, pool, rng, steps)
        save_checkpoint(model, tokenizer, folder)


def draw_pool(world: World, rng: np.random.Generator, count: int) -> Pool:
    """Random examples and their pictures, as the model's own image processor cuts them into patches."""
    processor = build_image_processor()
    examples, patches = [], []
    for _ in progress_bar(range(count), desc="Drawing pictures", unit="scene"):
        example = world.draw_example(rng)
        examples.append(example)
        patches.append(processor(images=[render(example.scene, rng)], return_tensors="pt")["pixel_values"])
    return Pool(examples, torch.stack(patches))


def learn_to_see(model: Any, pool: Pool, rng: np.random.Generator, steps: int) -> None:
    """Teach the vision tower colour, shape and box of every cell; its heads are thrown away afterwards."""
    counts = (len(COLOURS) + 1, len(SHAPES) + 1, *[SIDE // STEP + 1] * 4)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        heads = nn.Linear(HIDDEN, sum(counts))
    targets = torch.stack([_cell_targets(example.scene) for example in pool.examples])
    optimizer = torch.optim.AdamW([*model.model.visual.parameters(), *heads.parameters()], lr=3e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=max(steps, 1), pct_start=0.1)
    progress = progress_bar(range(steps), desc="Learning to see", unit="step")
    for _ in progress:
        rows = rng.integers(len(pool.examples), size=BATCH)
        logits = heads(see(model, pool.patches[rows])).split(counts, dim=-1)
        losses = [
            F.cross_entropy(part.flatten(0, 1), targets[rows, :, head].flatten(), ignore_index=IGNORED)
            for head, part in enumerate(logits)
        ]
        loss = torch.stack(losses).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        progress.set_postfix(loss=f"{loss.item():.3f}", refresh=False)


def learn_to_read(
    model: Any, tokenizer: PreTrainedTokenizerFast, pool: Pool, rng: np.random.Generator, steps: int
) -> None:
    """Teach the language model on the frozen vision tower's features."""
    with torch.no_grad():
        features = torch.cat([see(model, patches) for patches in pool.patches.split(256)])
    optimizer = torch.optim.AdamW(model.model.language_model.parameters(), lr=3e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, 2 * (1 - step / steps)))
    progress = progress_bar(range(steps), desc="Learning to read", unit="step")
    for _ in progress:
        rows = rng.integers(len(pool.examples), size=BATCH)
        texts = [
            (example.question, backbone_response(example, rng)) for example in (pool.examples[row] for row in rows)
        ]
        ids, labels = tokenize(tokenizer, texts)
        loss = F.cross_entropy(
            read(model, ids, features[rows])[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        progress.set_postfix(loss=f"{loss.item():.3f}", refresh=False)


def see(model: Any, patches_B: Tensor) -> Tensor:
    """Image tokens (B, 9, hidden) of pictures given as patches (B, 36, 1176)."""
    grid = torch.tensor([[1, 2 * GRID, 2 * GRID]]).expand(len(patches_B), 3)
    features: Tensor = model.model.visual(patches_B.flatten(0, 1), grid_thw=grid).pooler_output
    return features.view(len(patches_B), GRID * GRID, HIDDEN)


def read(model: Any, ids_BT: Tensor, features_B: Tensor) -> Tensor:
    """Logits (B, T, V) of right-padded token ids whose image placeholders show the given image tokens."""
    embeds = model.get_input_embeddings()(ids_BT)
    image = (ids_BT == model.config.image_token_id).unsqueeze(-1)
    embeds = embeds.masked_scatter(image, features_B)
    first = ids_BT[:1]
    positions, _ = model.model.get_rope_index(
        first,
        mm_token_type_ids=(first == model.config.image_token_id).int(),
        image_grid_thw=torch.tensor([[1, 2 * GRID, 2 * GRID]]),
    )  # the image comes first in every prompt: all rows have the same positions
    hidden = model.model.language_model(
        inputs_embeds=embeds, position_ids=positions.expand(-1, len(ids_BT), -1), use_cache=False
    ).last_hidden_state
    logits: Tensor = model.lm_head(hidden)
    return logits


def tokenize(tokenizer: PreTrainedTokenizerFast, texts: list[tuple[str, str]]) -> tuple[Tensor, Tensor]:
    """Token ids and labels (B, T) of question-response pairs, right-padded; only the response carries labels."""
    rows = list(_encode(tokenizer, texts))
    length = max(len(prompt) + len(response) for prompt, response in rows)
    ids = torch.full((len(rows), length), tokenizer.pad_token_id)
    labels = torch.full_like(ids, IGNORED)
    for row, (prompt, response) in enumerate(rows):
        end = len(prompt) + len(response)
        ids[row, :end] = torch.tensor(prompt + response)
        labels[row, len(prompt) : end] = ids[row, len(prompt) : end]
    return ids, labels


def _encode(tokenizer: PreTrainedTokenizerFast, texts: list[tuple[str, str]]) -> Iterator[tuple[list[int], list[int]]]:
    for question, response in texts:
        user = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}
        prompt = tokenizer.apply_chat_template([user], tokenize=False, add_generation_prompt=True)
        prompt = prompt.replace("<|image_pad|>", "<|image_pad|>" * GRID * GRID)
        yield tokenizer(prompt)["input_ids"], tokenizer(response + tokenizer.eos_token)["input_ids"]


def _cell_targets(scene: Scene) -> Tensor:
    """(9, 6): colour, shape (0 for none) and box coordinates in steps (ignored where nothing lies)."""
    targets = torch.zeros(GRID * GRID, 6, dtype=torch.long)
    targets[:, 2:] = IGNORED
    for thing in scene:
        x1, y1, _, _ = thing.box
        cell = y1 // CELL * GRID + x1 // CELL
        what = [COLOURS.index(thing.colour) + 1, SHAPES.index(thing.shape) + 1]
        targets[cell] = torch.tensor(what + [coordinate // STEP for coordinate in thing.box])
    return targets
