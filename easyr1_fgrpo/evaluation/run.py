"""Evaluate checkpoints: generate one response a question, score it, keep the result."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm
from transformers.utils.logging import disable_progress_bar

from easyr1_fgrpo.checkpoints import CheckpointError, checkpoint_sha256, file_sha256
from easyr1_fgrpo.config.schema import RewardSettings
from easyr1_fgrpo.evaluation.metrics import load_result, measure
from easyr1_fgrpo.evaluation.results import Inputs, Mode, Outcome, Result
from easyr1_fgrpo.generation.generator import Completion, Generator, Prompt
from easyr1_fgrpo.generation.processor import encode
from easyr1_fgrpo.generation.sampling import Sampling
from easyr1_fgrpo.judges.protocol import Judge, Question
from easyr1_fgrpo.rewards import Sample, score_rollout
from easyr1_fgrpo.rows import Row, count_rows, read_rows
from easyr1_fgrpo.traces import TraceRecord, TraceWriter, save_images


@dataclass(frozen=True)
class Protocol:
    """What is asked and how, the same for every checkpoint.

    Attributes:
        data: parquet file of rows.
        samples: how many of its rows; all when it has fewer.
        seed: chooses the rows and draws the responses.
        max_new_tokens: a response's length limit.
        judge: who judges: `package.module:Class`, or the config key that says so; "" for nobody.
        judge_options: its arguments, or what stands at that key.
        batch: rows generated, and then judged, at a time.
    """

    data: Path
    samples: int
    seed: int
    max_new_tokens: int
    judge: str
    judge_options: Mapping[str, Any]
    batch: int


async def evaluate_checkpoints(
    checkpoints: Mapping[str, Path],
    modes: Sequence[Mode],
    protocol: Protocol,
    judges: Mapping[Question, Judge],
    out: Path,
) -> list[Result]:
    """Evaluate every checkpoint in every mode; finished results whose inputs are the same are read, not repeated.

    Writes `<name>-<mode>.json` (`Result`), `traces/<name>-<mode>.jsonl` (`TraceRecord`) and `images/` into `out`.

    Args:
        checkpoints: Hugging Face folders by name.
        modes: see `Mode`.
        protocol: see `Protocol`.
        judges: who answers each question.
        out: folder to write into.

    Returns:
        One result per checkpoint and mode, in this order.

    Raises:
        CheckpointError: when a checkpoint cannot be loaded.
    """
    disable_progress_bar()
    data_sha256 = file_sha256(protocol.data)
    rows = choose_rows(protocol.data, protocol.samples, protocol.seed)
    results = []
    for name, folder in checkpoints.items():
        weights_sha256 = checkpoint_sha256(folder)
        generator: Generator | None = None
        for mode in modes:
            inputs = Inputs(
                checkpoint_sha256=weights_sha256,
                data_sha256=data_sha256,
                mode=mode,
                samples=protocol.samples,
                seed=protocol.seed,
                max_new_tokens=protocol.max_new_tokens,
                judge=protocol.judge,
                judge_options=dict(protocol.judge_options),
            )
            result = kept_result(Result.path(out, name, mode), inputs)
            if result is None:
                generator = generator or _load(folder, protocol.batch)
                started = time.monotonic()
                items = await _answer(name, generator, rows, inputs, judges, out)
                result = Result(
                    name=name,
                    checkpoint=str(folder),
                    data=str(protocol.data),
                    inputs=inputs,
                    seconds=round(time.monotonic() - started, 1),
                    metrics=measure(items, protocol.seed),
                    items=items,
                )
                result.save(out)
            results.append(result)
    return results


def choose_rows(data: Path, samples: int, seed: int) -> list[Row]:
    """A seeded choice of rows, in file order: files are often sorted by kind, so their head is no fair sample."""
    total = count_rows(data)
    chosen = set(random.Random(seed).sample(range(total), min(samples, total)))
    return [row for number, row in enumerate(read_rows(data)) if number in chosen]


def kept_result(path: Path, inputs: Inputs) -> Result | None:
    """The finished result at `path` if it was measured from the same inputs."""
    if not path.exists():
        return None
    try:
        result = load_result(path)
    except ValueError as error:
        tqdm.write(f"{error}; measured again")
        return None
    if result.inputs != inputs:
        return None
    tqdm.write(f"{path} is finished and kept")
    return result


def question_seed(seed: int, split: str, index: int) -> int:
    """A 63-bit seed for one question, the same for every checkpoint: pairs share their noise."""
    digest = hashlib.sha256(f"{seed}/{split}/{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


# ---------------------------------------------------------------------- one checkpoint in one mode


def _load(folder: Path, batch: int) -> Generator:
    try:
        return Generator(str(folder), rows=batch, prompt_length=None)
    except Exception as error:  # whatever the folder's files make transformers raise
        cause = str(error).strip().partition("\n")[0]
        raise CheckpointError(f"{folder} cannot be loaded ({type(error).__name__}: {cause})") from error


async def _answer(
    name: str, generator: Generator, rows: Sequence[Row], inputs: Inputs, judges: Mapping[Question, Judge], out: Path
) -> tuple[Outcome, ...]:
    """Generate and score all rows, a batch at a time; every rollout's trace is written."""
    Result.path(out, name, inputs.mode).unlink(missing_ok=True)
    (out / "traces" / f"{name}-{inputs.mode}.jsonl").unlink(missing_ok=True)
    items: list[Outcome] = []
    with (
        tqdm(total=len(rows), desc=f"Evaluating {name}, {inputs.mode}", unit="question") as bar,
        TraceWriter(out, name, inputs.mode) as writer,
    ):
        for start in range(0, len(rows), generator.rows):
            asked = [_ask(generator, row, inputs) for row in rows[start : start + generator.rows]]
            samples, prompts = zip(*asked, strict=True)
            completions = generator.complete(prompts)
            rollouts = zip(samples, completions, strict=True)
            scored = await asyncio.gather(*(_score(generator, judges, out, *rollout) for rollout in rollouts))
            for record, item in scored:
                writer.write(record)
                items.append(item)
            bar.update(len(asked))
    return tuple(items)


def _ask(generator: Generator, row: Row, inputs: Inputs) -> tuple[Sample, Prompt]:
    """A row as the rewards read it and as the policy reads it."""
    info = row.extra_info
    messages = [message.model_dump() for message in row.prompt]
    ids, images = encode(generator.processor, messages, row.open_images())
    sample = Sample(
        question=info.question,
        choices=info.choices,
        ground_truth=row.reward_model.ground_truth,
        images=images,
        boxes=row.boxes_at(*images[0].size),
        index=info.index,
        split=info.split,
    )
    sampling = Sampling(inputs.mode.temperature, seed=question_seed(inputs.seed, info.split, info.index))
    return sample, Prompt(ids, images, sampling, inputs.max_new_tokens)


async def _score(
    generator: Generator, judges: Mapping[Question, Judge], out: Path, sample: Sample, completion: Completion
) -> tuple[TraceRecord, Outcome]:
    response = generator.decode(completion)
    score = await score_rollout(
        sample,
        response,
        judges,
        RewardSettings(judge_scope="all"),
        truncated=completion.stop_reason == "length",
    )
    images = save_images(sample.images, out)
    record = TraceRecord.from_score(sample, score, images=images, response=response, step=0, session=0)
    return record, Outcome.from_record(record, tokens=len(completion.ids))
