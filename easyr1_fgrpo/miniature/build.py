"""Build the miniature's data: `fgrpo miniature build --out DIR --seed N`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from easyr1_fgrpo.files import whole_folder
from easyr1_fgrpo.miniature import rows
from easyr1_fgrpo.miniature.example import Example
from easyr1_fgrpo.miniature.render import fingerprint, png, render
from easyr1_fgrpo.miniature.scene_file import scene_line
from easyr1_fgrpo.miniature.teacher import noisy_response
from easyr1_fgrpo.miniature.worlds import NOTHING, WORLDS, World, WorldName, check_held_out
from easyr1_fgrpo.rows import CONVERSATION_SCHEMA, ROW_SCHEMA, write_rows
from easyr1_fgrpo.terminal import progress_bar

# Held-out splits come first: what they hold does not depend on how much training data is asked for.
SPLITS = ("test", "val", "sft_val", "sft_train", "train")
SUPERVISED = ("sft_val", "sft_train")


def build(
    out: Path,
    *,
    seed: int,
    train: int = 2048,
    val: int = 512,
    test: int = 1024,
    sft: int = 6400,
    sft_val: int = 256,
    world: WorldName = "one_step",
    held_out: str = NOTHING,
) -> None:
    """Write {train,val,test,sft_train,sft_val}.parquet and scenes.jsonl; no scene occurs in two places.

    Args:
        out: folder to write; must be new or empty.
        seed: of the whole world; another seed is another world.
        train: questions to train on.
        val: questions for validation.
        test: held-out questions.
        sft: supervised traces to train on.
        sft_val: supervised traces for validation.
        world: which world.
        held_out: question type that train.parquet leaves out; every other file has it and does not depend on it.

    Raises:
        ValueError: for a question type that the world does not have.
        FileExistsError: when `out` holds something.
    """
    check_held_out(world, held_out)
    counts = {"test": test, "val": val, "sft_val": sft_val, "sft_train": sft, "train": train}
    seen: set[Example] = set()
    bar = progress_bar(total=sum(counts.values()), desc="Drawing scenes", unit="scene")
    with whole_folder(out) as folder, (folder / "scenes.jsonl").open("w", encoding="utf-8") as scenes, bar:
        for split, stream in zip(SPLITS, np.random.SeedSequence(seed).spawn(len(SPLITS)), strict=True):
            rng = np.random.default_rng(stream)
            written = []
            unasked = held_out if split == "train" else NOTHING
            for index, example in enumerate(_fresh_examples(WORLDS[world], rng, counts[split], seen, unasked)):
                picture = render(example.scene, rng)
                scenes.write(scene_line(fingerprint(picture), example.spoken))
                if split in SUPERVISED:
                    written.append(rows.conversation_row(example, png(picture), noisy_response(example, rng)))
                else:
                    written.append(rows.question_row(example, png(picture), split=split, index=index))
                bar.update()
            schema = CONVERSATION_SCHEMA if split in SUPERVISED else ROW_SCHEMA
            write_rows(folder / f"{split}.parquet", written, schema)


def _fresh_examples(
    world: World, rng: np.random.Generator, count: int, seen: set[Example], unasked: str
) -> Iterator[Example]:
    for _ in range(count):
        while (example := world.draw_example(rng)) in seen or example.type == unasked:
            pass
        seen.add(example)
        yield example
