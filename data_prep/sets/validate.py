"""Check prepared files before anything is trained on them: questions for RL, and traces for the warm start."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pydantic import BaseModel, ValidationError

from data_prep.shards import read_rows, shard_paths
from easyr1_fgrpo.rewards import parse_response
from easyr1_fgrpo.rows import BATCH_ROWS, IMAGE_MARK, Message, RowImage, causes, check_rows, count_rows, explain

SHOWN = 20
"""Problems printed; the rest is counted."""


class Trace(BaseModel):
    """A question with the response to imitate (`easyr1_fgrpo.rows.CONVERSATION_SCHEMA`)."""

    messages: tuple[Message, ...]
    images: tuple[RowImage, ...]


def validate(inputs: Sequence[Path]) -> tuple[list[str], Counter[str]]:
    """Check every row of files and folders of shards, pictures decoded.

    Each file and each folder is a set: indices are unique within it, and sets of different splits show different
    pictures. A shard without rows is no problem as long as its folder has some.

    Returns:
        One line for the problems of one cause in a file, and totals of what was read without a problem: files, rows,
        rows with boxes, boxes, multiple-choice rows, open-ended rows, traces, pictures.
    """
    problems: list[str] = []
    totals: Counter[str] = Counter()
    questions: list[Sequence[Path]] = []
    for rows in inputs:
        try:
            paths = shard_paths(rows)
            files = [path for path in paths if count_rows(path)] or paths[:1]
            traces = "messages" in pq.read_schema(files[0]).names
        except (OSError, ValueError) as error:  # pyarrow's errors are of these kinds
            problems.append(f"{rows}: cannot be read ({str(error).partition(chr(10))[0]})")
            continue
        found = list(_trace_problems(files)) if traces else check_rows(files)
        problems += causes(found)
        if not found:
            totals += _traces(files) if traces else _questions(files)
        if not found and not traces:
            questions.append(files)
    return problems + list(_shared_pictures(questions)), totals


# ---------------------------------------------------------------------- questions


def _questions(files: Sequence[Path]) -> Counter[str]:
    totals = Counter(files=len(files))
    for path in files:
        for row in read_rows(path, ["prompt", "extra_info.boxes", "extra_info.choices"]):
            boxes, choices = row["extra_info"]["boxes"] or [], row["extra_info"]["choices"] or []
            totals["rows"] += 1
            totals["rows with boxes"] += bool(boxes)
            totals["boxes"] += len(boxes)
            totals["multiple-choice rows" if choices else "open-ended rows"] += 1
            totals["pictures"] += sum(turn["content"].count(IMAGE_MARK) for turn in row["prompt"])
    return totals


def _shared_pictures(sets: Sequence[Sequence[Path]]) -> Iterator[str]:
    """Pictures that two splits of different sets show, one line for each two."""
    if len(sets) < 2:
        return
    shown: dict[bytes, tuple[int, str]] = {}  # the set and the split that showed a picture first
    shared: dict[tuple[str, str], set[bytes]] = defaultdict(set)
    for number, files in enumerate(sets):
        for path in files:
            for row in read_rows(path, ["images", "extra_info.split"]):
                here = (number, row["extra_info"]["split"])
                for picture in (hashlib.sha256(image["bytes"]).digest() for image in row["images"]):
                    first = shown.setdefault(picture, here)
                    if first[0] != number and first[1] != here[1]:
                        shared[str(sets[first[0]][0]), str(path)].add(picture)
    for (first_file, file), pictures in shared.items():
        yield (
            f"{file}: {len(pictures)} of its pictures are in {first_file}, which is another split: a model that was "
            "trained on one has seen the other"
        )


# ---------------------------------------------------------------------- traces


def _traces(files: Sequence[Path]) -> Counter[str]:
    rows = sum(map(count_rows, files))
    pictures = sum(len(row["images"]) for path in files for row in read_rows(path, ["images"]))
    return Counter(files=len(files), traces=rows, pictures=pictures)


def _trace_problems(files: Sequence[Path]) -> Iterator[str]:
    for path in files:
        if "images" not in pq.read_schema(path).names:
            yield f"{path}: no column images"
            continue
        if not count_rows(path):
            yield f"{path}: no rows"
        rows, number = read_rows(path, ["messages", "images"]), 0
        with ThreadPoolExecutor() as threads:  # Pillow decodes outside the interpreter lock
            while chunk := list(islice(rows, BATCH_ROWS)):
                for problem in threads.map(_trace_problem, chunk):
                    if problem:
                        yield f"{path} row {number}: {problem}"
                    number += 1


def _trace_problem(values: Mapping[str, Any]) -> str:
    """What is wrong with a trace, "" when nothing is."""
    try:
        trace = Trace.model_validate({**values, "images": values["images"] or []})
        for image in trace.images:
            image.open()
    except ValidationError as error:
        return explain(error)
    except ValueError as error:
        return str(error)
    roles = [message.role for message in trace.messages]
    if roles[-2:] != ["user", "assistant"]:
        return f"messages: end with {roles[-2:]}, not with a user and an assistant"
    marks = sum(message.content.count(IMAGE_MARK) for message in trace.messages)
    if marks != len(trace.images):
        return f"the messages have {marks} {IMAGE_MARK} marks for {len(trace.images)} images"
    response = parse_response(trace.messages[-1].content)
    if not response.well_formed:
        return "the response is not <think>reasoning</think><answer>answer</answer>"
    if response.n_boxes != len(response.boxes):
        return f"of {response.n_boxes} boxes in the response {response.n_boxes - len(response.boxes)} cannot be read"
    return ""
