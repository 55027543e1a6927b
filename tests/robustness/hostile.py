"""Bytes that are made to fill a memory, or to run what they should not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from integration.recipe_runs import TRAIN_ONLY
from judge_endpoint import Script, answers_of, judge_endpoint
from picture_files import EPS, bomb

from easyr1_fgrpo.judges.protocol import Failure, Question
from easyr1_fgrpo.miniature.oracle import OracleJudge
from easyr1_fgrpo.model_client.bodies import MAX_BODY
from easyr1_fgrpo.rows import ROW_SCHEMA
from easyr1_fgrpo.traces import read_traces

from .bench import Bench
from .ends import last_error
from .outcomes import Outcome
from .processes import processes

MIB = 2**20
AT_ONCE = 16
"""Calls of the judge under way; as many bodies are read at once, each up to `MAX_BODY`."""

PICTURES = {
    "an EPS, which would start Ghostscript": EPS,
    "a PNG of 81 megapixels in 70 bytes": bomb(9_000),
    "a PNG of 3,600 megapixels in 70 bytes": bomb(60_000),
}
ROW = 40
"""Of the training questions, the one whose picture is replaced: no first look comes so far."""


def hostile_bodies(bench: Bench) -> Iterator[Outcome]:
    """From the second step on a third of a judge's answers are bodies without an end."""
    run = bench.forget("hostile_bodies")
    script = Script(answer=answers_of(OracleJudge(bench.folder / "stages/world/scenes.jsonl")))
    with judge_endpoint(script) as server:
        process = bench.runs.start(
            run,
            "judge=openai_compatible",
            "judge_endpoint.model=a-model",
            f"judge_endpoint.base_urls=[{server.url}]",
            f"fgrpo.judge_cache.directory={bench.folder / run / 'cache'}",
            *(f"fgrpo.judges.{question}.concurrency={AT_ONCE}" for question in Question),
            "fgrpo.max_unmeasured_steps=100",
            script=TRAIN_ONLY,
        )
        bench.runs.wait_for_step(run, 2, process)
        before = most = _reward_worker(process.pid)
        script.shares = {"flood": 1 / 3}
        while process.poll() is None:
            most = max(most, _reward_worker(process.pid))
            time.sleep(0.2)
        output = bench.runs.finish(process)
    records, _ = read_traces((bench.folder / run / "traces").glob("train-*.jsonl"))
    found = [verdict for record in records for verdict in (record.consistency, *(s.verdict for s in record.sentences))]
    oversized = sum(verdict is not None and verdict.failure is Failure.OVERSIZED for verdict in found)
    told = "the run went on" if process.returncode == 0 else last_error(output)
    yield Outcome(
        "a third of a judge's bodies have no end",
        f"{told}: {server.counts['flood']} such bodies, {oversized} verdicts oversized, each a missing value; the "
        f"reward worker held {most / MIB:.0f} MiB at most, {before / MIB:.0f} before",
        good=process.returncode == 0 and oversized > 0 and most - before < 4 * AT_ONCE * MAX_BODY,
    )


def _reward_worker(root: int) -> int:
    """The bytes that the reward worker of a run holds; 0 when it has gone."""
    with suppress(psutil.NoSuchProcess):
        return sum(process.memory_info().rss for process, role in processes([root]) if role == "RewardLoopWorker")
    return 0


def hostile_pictures(bench: Bench) -> Iterator[Outcome]:
    """A picture in the middle of the training questions is none that may be opened."""
    run = bench.forget("hostile_pictures")
    world = bench.folder / "stages/world"
    for fault, picture in PICTURES.items():
        file = bench.folder / "hostile.parquet"
        _with_picture(world / "train.parquet", file, picture)
        code, said, seconds = bench.refusal(run, f"data.train_files={file}")
        yield Outcome(f"{fault}, in row {ROW}", said, code == 1 and "unreadable image" in said, seconds)


def _with_picture(source: Path, target: Path, picture: bytes) -> None:
    rows = pq.read_table(source).to_pylist()
    rows[ROW]["images"] = [{**rows[ROW]["images"][0], "bytes": picture}]
    pq.write_table(pa.Table.from_pylist(rows, schema=ROW_SCHEMA), target)
