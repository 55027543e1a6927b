"""Build the miniature's data: `python -m easyr1_fgrpo.miniature.build --out DIR --seed N`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from tqdm import tqdm

from easyr1_fgrpo.miniature import rows
from easyr1_fgrpo.miniature.files import free_option, whole_folder
from easyr1_fgrpo.miniature.render import fingerprint, png, render
from easyr1_fgrpo.miniature.teacher import noisy_response
from easyr1_fgrpo.miniature.world import Example, draw_example

# Held-out splits come first: what they hold does not depend on how much training data is asked for.
SPLITS = ("test", "val", "sft_val", "sft_train", "train")
SUPERVISED = ("sft_val", "sft_train")
Count = Annotated[int, typer.Option(min=1)]


def build(
    out: Annotated[Path, typer.Option(help="folder to write; must be new or empty", callback=free_option)],
    seed: Annotated[int, typer.Option(min=0, help="of the whole world; another seed is another world")],
    train: Count = 2048,
    val: Count = 512,
    test: Count = 1024,
    sft: Count = 6400,
    sft_val: Count = 256,
) -> None:
    """Write {train,val,test,sft_train,sft_val}.parquet and scenes.jsonl; no scene occurs in two places."""
    counts = {"test": test, "val": val, "sft_val": sft_val, "sft_train": sft, "train": train}
    seen: set[Example] = set()
    bar = tqdm(total=sum(counts.values()), desc="Drawing scenes", unit="scene")
    with whole_folder(out) as folder, (folder / "scenes.jsonl").open("w", encoding="utf-8") as scenes, bar:
        for split, stream in zip(SPLITS, np.random.SeedSequence(seed).spawn(len(SPLITS)), strict=True):
            rng = np.random.default_rng(stream)
            written = []
            for index, example in enumerate(_fresh_examples(rng, counts[split], seen)):
                picture = render(example.scene, rng)
                scenes.write(_scene_line(example, fingerprint(picture)))
                if split in SUPERVISED:
                    written.append(rows.conversation_row(example, png(picture), noisy_response(example, rng)))
                else:
                    written.append(rows.question_row(example, png(picture), split=split, index=index))
                bar.update()
            schema = rows.CONVERSATIONS if split in SUPERVISED else rows.QUESTIONS
            rows.write(written, schema, folder / f"{split}.parquet")


def _fresh_examples(rng: np.random.Generator, count: int, seen: set[Example]) -> Iterator[Example]:
    for _ in range(count):
        while (example := draw_example(rng)) in seen:
            pass
        seen.add(example)
        yield example


def _scene_line(example: Example, picture: str) -> str:
    things = [{"colour": thing.colour, "shape": thing.shape, "box": thing.box} for thing in example.scene]
    return json.dumps({"picture": picture, "things": things}) + "\n"


if __name__ == "__main__":
    typer.run(build)
