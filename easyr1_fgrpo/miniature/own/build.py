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
from pathlib import Path

from easyr1_fgrpo.checkpoints import file_sha256
from easyr1_fgrpo.files import begin, whole_folder
from easyr1_fgrpo.miniature.model import PATCH, build_model, save_checkpoint
from easyr1_fgrpo.miniature.own.tokenizer import train_tokenizer
from easyr1_fgrpo.miniature.own.traces import Answers, response
from easyr1_fgrpo.rows import CONVERSATION_SCHEMA, Row, count_rows, read_rows, write_rows

TRACES = 6400
"""At most."""

TRACE_FILE = "traces.parquet"


def made_from(rows: Path, seed: int, min_pixels: int, max_pixels: int) -> dict[str, str | int]:
    """What the folder's content depends on."""
    return {"rows": file_sha256(rows), "seed": seed, "min_pixels": min_pixels, "max_pixels": max_pixels}


def build(rows: Path, out: Path, *, seed: int, min_pixels: int, max_pixels: int) -> None:
    """Make backbone and traces, or leave a folder alone that was made from the same.

    Args:
        rows: the training rows.
        out: the folder.
        seed: of weights, and of which rows get a trace that errs.
        min_pixels: the run's pixel budget, `fgrpo.images.min_pixels`.
        max_pixels: as `min_pixels`.

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
    chosen = _drawn(rows, rng)
    with whole_folder(out) as folder:
        begin(folder, settings)
        traces = [response(row, answers, _seen_at(row, min_pixels, max_pixels), rng) for row in chosen]
        tokenizer = train_tokenizer(_texts(rows, traces), system)
        save_checkpoint(build_model(tokenizer, seed), tokenizer, folder)
        conversations = (
            {
                "messages": [
                    *(message.model_dump() for message in row.prompt),
                    {"role": "assistant", "content": trace},
                ],
                "images": [{"bytes": image.data} for image in row.images],
            }
            for row, trace in zip(chosen, traces, strict=True)
        )
        write_rows(folder / TRACE_FILE, conversations, CONVERSATION_SCHEMA)


def _drawn(rows: Path, rng: random.Random) -> list[Row]:
    """At most `TRACES` rows, in their order."""
    total = count_rows(rows)
    chosen = set(rng.sample(range(total), min(TRACES, total)))
    return [row for number, row in enumerate(read_rows(rows)) if number in chosen]


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


def _seen_at(row: Row, min_pixels: int, max_pixels: int) -> tuple[int, int]:
    """Width and height of the first picture after Qwen's resizing."""
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

    height, width = smart_resize(
        row.extra_info.height, row.extra_info.width, factor=2 * PATCH, min_pixels=min_pixels, max_pixels=max_pixels
    )
    return width, height
