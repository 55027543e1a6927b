"""`fgrpo miniature build, backbone, own, intervention`: small worlds and models, and whether answers follow traces."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from easyr1_fgrpo.cli.shared import fail, new_folder, out_file
from easyr1_fgrpo.files import write_whole
from easyr1_fgrpo.preflight.numbers import LARGEST_SEED

if TYPE_CHECKING:
    from easyr1_fgrpo.miniature.worlds import WorldName

WORLD_NAMES = "one_step, two_step or four_way"
Count = Annotated[int, typer.Option(min=1)]

app = typer.Typer(no_args_is_help=True, help="The small world on two cores; recipes make it by themselves.")


Out = Annotated[Path, typer.Option(help="folder to write; must be new or empty", callback=new_folder)]


@app.command()
def build(
    out: Out,
    seed: Annotated[
        int, typer.Option(min=0, max=LARGEST_SEED - 1, help="of the whole world; another seed is another world")
    ],
    train: Count = 2048,
    val: Count = 512,
    test: Count = 1024,
    sft: Count = 6400,
    sft_val: Count = 256,
    world: Annotated[str, typer.Option(help=WORLD_NAMES)] = "one_step",
    held_out: Annotated[str, typer.Option(help="question type that train.parquet leaves out")] = "nothing",
) -> None:
    """Write the world's questions, traces and scenes.

    {train,val,test,sft_train,sft_val}.parquet and scenes.jsonl; no scene occurs in two places.
    """
    from easyr1_fgrpo.miniature.build import build as run

    typer.echo(f"drawing {train + val + test + sft + sft_val:,} scenes")
    try:
        run(
            out,
            seed=seed,
            train=train,
            val=val,
            test=test,
            sft=sft,
            sft_val=sft_val,
            world=_world(world),
            held_out=held_out,
        )
    except (ValueError, OSError) as error:
        fail(error)


@app.command()
def backbone(
    out: Out,
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_SEED - 1, help="of weights and data")],
    steps: Annotated[int, typer.Option(min=0, help="language steps; 0 leaves everything random")] = 300,
    vision_steps: Annotated[int, typer.Option(min=0, help="vision steps")] = 150,
    world: Annotated[str, typer.Option(help=WORLD_NAMES)] = "one_step",
) -> None:
    """Train the tiny Qwen2.5-VL that has learned to look.

    Saved as a Hugging Face checkpoint.
    """
    from easyr1_fgrpo.miniature.backbone import train_backbone

    try:
        train_backbone(out, seed=seed, steps=steps, vision_steps=vision_steps, world=_world(world))
    except (ValueError, OSError) as error:
        fail(error)


@app.command()
def own(
    rows: Annotated[Path, typer.Argument(help="training rows, as `fgrpo data import` writes them")],
    out: Annotated[Path, typer.Option(help="folder to write; left alone when it was made from the same")],
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_SEED - 1, help="of weights and of the traces' errors")],
    min_pixels: Annotated[int, typer.Option(min=1, help="fgrpo.images.min_pixels of the run")],
    max_pixels: Annotated[int, typer.Option(min=1, help="fgrpo.images.max_pixels of the run")],
) -> None:
    """Make what a run on rows of your own starts from.

    A tokenizer, a tiny random backbone and traces for its warm start.
    """
    from easyr1_fgrpo.miniature.own.build import build as run

    try:
        run(rows, out, seed=seed, min_pixels=min_pixels, max_pixels=max_pixels)
    except (ValueError, OSError) as error:
        fail(error)


@app.command()
def intervention(
    checkpoints: Annotated[list[str], typer.Argument(metavar="NAME=CHECKPOINT...", help="Hugging Face folders")],
    world: Annotated[Path, typer.Option(help="folder of the world whose test questions are asked")],
    out: Annotated[Path | None, typer.Option(help="write all numbers to this JSON file", callback=out_file)] = None,
    samples: Annotated[int, typer.Option(min=1, help="questions")] = 256,
) -> None:
    """Flip the end of a trace: does the answer follow?"""
    from easyr1_fgrpo.miniature.intervention import measure, read_questions

    try:
        shown = read_questions(world, samples)
        found = {}
        for text in checkpoints:
            name, equals, folder = text.partition("=")
            if not equals or not (Path(folder) / "config.json").exists():
                raise ValueError(f"{text}: write NAME=FOLDER of a Hugging Face checkpoint")
            found[name] = measure(Path(folder), shown)
            typer.echo(f"{name}: the answer follows in {found[name].followed} of {len(shown)} questions")
    except (OSError, ValueError) as error:
        fail(error)
    if out is not None:
        write_whole(out, json.dumps({name: asdict(numbers) for name, numbers in found.items()}, indent=1) + "\n")


def _world(name: str) -> WorldName:
    """The world of that name; an unknown one ends the command."""
    from easyr1_fgrpo.miniature.worlds import WORLDS

    if name not in WORLDS:
        fail(f"--world {name}: choose {WORLD_NAMES}")
    return cast("WorldName", name)
