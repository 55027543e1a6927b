"""`fgrpo miniature own`: what a run on two CPU cores starts from, made from anybody's rows.

    config.json, ...   a tiny Qwen2.5-VL with random weights, and a tokenizer of the rows' words
    traces.parquet     traces from a template, for the warm start
    settings.json      what they were made from

Such a model shows that data, judge, constraint and files work together. It shows nothing about how well a real model
would do: it has seen nothing but these rows, in pictures of a dozen tokens.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path

from PIL import Image

from easyr1_fgrpo.checkpoints import file_sha256
from easyr1_fgrpo.files import begin, whole_folder
from easyr1_fgrpo.miniature.model import PATCH, build_model, save_checkpoint
from easyr1_fgrpo.miniature.own.tokenizer import train_tokenizer
from easyr1_fgrpo.miniature.own.traces import Answers, response
from easyr1_fgrpo.miniature.render import png
from easyr1_fgrpo.rows import CONVERSATION_SCHEMA, Row, count_rows, read_rows, write_rows

TRACES = 6400
"""A row has several, which err differently, where there are fewer rows."""

TRACE_FILE = "traces.parquet"


def made_from(rows: Path, seed: int, min_pixels: int, max_pixels: int) -> dict[str, str | int]:
    """What the folder's content depends on."""
    return {"rows": file_sha256(rows), "seed": seed, "min_pixels": min_pixels, "max_pixels": max_pixels}


def build(rows: Path, out: Path, *, seed: int, min_pixels: int, max_pixels: int, traces: int = TRACES) -> None:
    """Make backbone and traces, or leave a folder alone that was made from the same.

    Args:
        rows: the training rows.
        out: the folder.
        seed: of weights, and of which traces err.
        min_pixels: the run's pixel budget, `fgrpo.images.min_pixels`.
        max_pixels: as `min_pixels`.
        traces: how many.

    Raises:
        ValueError: when `out` was made from something else, or a row is none.
        OSError: when the rows cannot be read.
    """
    settings = made_from(rows, seed, min_pixels, max_pixels)
    if out.exists():
        begin(out, settings)
        return
    rng = random.Random(seed)
    answers, system = _known(rows)
    total = count_rows(rows)
    drawn = set(rng.sample(range(total), min(traces, total)))
    chosen, seen = [], []
    for number, row in enumerate(read_rows(rows)):
        if number in drawn:
            seen.append([_resized(image, min_pixels, max_pixels) for image in row.open_images()])
            chosen.append(row.model_copy(update={"images": ()}))  # the files' bytes are not held
    with whole_folder(out) as folder:
        begin(folder, settings)
        turns = list(islice(cycle(range(len(chosen))), traces))
        responses = [response(chosen[number], answers, seen[number][0].size, rng) for number in turns]
        tokenizer = train_tokenizer(_texts(rows, responses), system)
        save_checkpoint(build_model(tokenizer, seed), tokenizer, folder)
        encoded = [[{"bytes": png(image)} for image in images] for images in seen]
        conversations = (
            {"messages": [*_prompt(chosen[number]), {"role": "assistant", "content": said}], "images": encoded[number]}
            for number, said in zip(turns, responses, strict=True)
        )
        write_rows(folder / TRACE_FILE, conversations, CONVERSATION_SCHEMA)


def _prompt(row: Row) -> list[dict[str, str]]:
    return [message.model_dump() for message in row.prompt]


def _known(rows: Path) -> tuple[Answers, str]:
    """The answers of all rows, and the system turn that they share, "" where they do not."""
    answers, systems = Answers(), set()
    for row in read_rows(rows):
        answers.add(row)
        systems.add(_turn(row, "system"))
    return answers, systems.pop() if len(systems) == 1 else ""


def _texts(rows: Path, traces: Sequence[str]) -> Iterator[str]:
    for row in read_rows(rows):
        yield _turn(row, "user")
        yield row.reward_model.ground_truth
    yield from traces


def _turn(row: Row, role: str) -> str:
    return "\n".join(message.content for message in row.prompt if message.role == role)


def _resized(image: Image.Image, min_pixels: int, max_pixels: int) -> Image.Image:
    """A picture at the size at which the policy sees it: traces need no larger one."""
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

    height, width = smart_resize(
        image.height, image.width, factor=2 * PATCH, min_pixels=min_pixels, max_pixels=max_pixels
    )
    return image.resize((width, height), Image.Resampling.BICUBIC)
