"""`evaluate` by command line: real processes, real HTTP, a real checkpoint, and SIGKILL."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from statistics import fmean

import pytest
from model_endpoint import Model, scripted

from easyr1_fgrpo.evaluation.results.results import Evaluation
from easyr1_fgrpo.generation.generator import Generator, Prompt
from easyr1_fgrpo.generation.processor import encode
from easyr1_fgrpo.generation.sampling import Sampling
from easyr1_fgrpo.judges.protocol import Label
from easyr1_fgrpo.miniature.oracle import judge_consistency, judge_grounding
from easyr1_fgrpo.rewards import answer_matches, parse_response, split_sentences
from easyr1_fgrpo.rows import read_rows

from .memorised import World, memorise

pytestmark = pytest.mark.integration

KINDS = {"warm_start": "warm", "grpo_t": "shortcut", "fgrpo": "faithful"}
LENGTH = 48


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("evaluated") / "world", 40)


@pytest.fixture(scope="module")
def checkpoints(world: World) -> dict[str, Path]:
    folders = {name: world.folder.parent / name for name in KINDS}
    for name, kind in KINDS.items():
        folders[name].mkdir()
        memorise(world, world.responses(kind), folders[name], steps=120)
    return folders


def command(world: World, out: Path, *models: str, **options: object) -> list[str]:
    given = {"benchmark": f"miniature={world.folder / 'test.parquet'}", "out": out} | options
    flags = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    named = [word for model in models for word in ("--model", model)]
    return [sys.executable, "-m", "easyr1_fgrpo", "evaluate", *named, *flags]


def oracle(world: World) -> str:
    return f"judge=oracle stages.world={world.folder}"


def measured_directly(world: World, folder: Path) -> dict[str, float]:
    """Accuracy, inconsistency rate and grounding from the scenes, without any of the evaluation's code."""
    generator = Generator(str(folder), rows=8, prompt_length=64)
    rows = list(read_rows(world.folder / "test.parquet"))
    prompts = []
    for row in rows:
        ids, images = encode(generator.processor, [m.model_dump() for m in row.prompt], row.open_images())
        prompts.append(Prompt(ids, images, Sampling(0.0), LENGTH))
    accurate, consistent, grounded = [], [], []
    for row, example, completion in zip(rows, world.examples, generator.complete(prompts), strict=True):
        parsed = parse_response(generator.decode(completion))
        info = row.extra_info
        accurate.append(answer_matches(parsed.answer, row.reward_model.ground_truth, info.choices))
        if parsed.parsable:
            consistent.append(judge_consistency(info.question, parsed.trace or "", parsed.answer or "") is Label.YES)
        trace = parsed.trace or ""
        labels = [
            judge_grounding(example.scene, trace[: sentence.start], sentence.text)
            for sentence in split_sentences(trace)
            if not sentence.trivial
        ]
        if scored := [label is Label.CORRECT for label in labels if label is not Label.SKIP]:
            grounded.append(fmean(scored))
    return {
        "accuracy": fmean(accurate),
        "inconsistency": 1 - fmean(consistent),
        "semantic_grounding": fmean(grounded),
    }


def test_three_checkpoints_side_by_side_equal_what_the_scenes_say(
    world: World, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    models = [f"{name}={folder},bare" for name, folder in checkpoints.items()]
    options = {"max_new_tokens": LENGTH, "judge_overrides": oracle(world)}
    line = command(world, tmp_path / "out", *models, **options)
    done = subprocess.run(line, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    evaluation = Evaluation.load(tmp_path / "out")
    for name, folder in checkpoints.items():
        result = evaluation.of(name, "miniature")
        assert result is not None
        for metric, value in measured_directly(world, folder).items():
            assert result.metrics[metric].value == pytest.approx(value), (name, metric)
        assert result.totals.scored == len(world.examples)
    inconsistency = {r.model: r.metrics["inconsistency"].value or 0.0 for r in evaluation.results}
    assert inconsistency["grpo_t"] > inconsistency["fgrpo"] + 0.2
    shown = " ".join(done.stdout.split())
    for text in ("grpo_t minus warm_start", "fgrpo minus grpo_t", "inconsistency rate", "McNemar", "<0.001"):
        assert text in shown

    answers = {path: path.read_bytes() for path in (tmp_path / "out/answers").iterdir()}
    again = subprocess.run(line, capture_output=True, text=True, timeout=600, check=False)
    assert again.stdout == done.stdout  # the finished run prints its tables and asks nothing
    assert len(answers) == len(KINDS)
    assert answers == {path: path.read_bytes() for path in (tmp_path / "out/answers").iterdir()}


def test_killed_halfway_the_same_command_gives_the_same_table_and_repeats_no_call(world: World, tmp_path: Path) -> None:
    """Calls that were under way when the process was killed were never answered to anybody: they come again."""
    size, concurrency = len(world.examples), 3

    def answer(text: str) -> str:
        return f"<think>The red circle is big. So the answer is left.</think><answer>{text.split()[2]}</answer>"

    def score(case: dict[str, str]) -> str:
        return "RIGHT" if case["reply"] == case["reference"] else "WRONG"

    def asked_about(model: Model) -> Counter[str]:
        urls = (
            p["image_url"]["url"]
            for b in model.bodies
            if isinstance(b["messages"][-1]["content"], list)
            for p in b["messages"][-1]["content"]
            if p["type"] == "image_url"
        )
        return Counter(urls)

    with scripted(Model(answer=answer, score=score, delay_s=0.1)) as model:
        options = {"scorer": model.url, "concurrency": concurrency, "judge_overrides": oracle(world)}
        line = command(world, tmp_path / "killed", f"m={model.url},bare", **options)
        process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + 400
        traces = tmp_path / "killed/traces/m-miniature-greedy.jsonl"
        while model.asked < size // 2 or not traces.exists() or traces.stat().st_size == 0:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        time.sleep(0.5)  # replies to nobody
        kept = (tmp_path / "killed/answers/m.jsonl").read_bytes().count(b"\n")
        scored = (tmp_path / "killed/traces/m-miniature-greedy.jsonl").read_bytes().count(b"\n")
        asked, scorer = model.asked, model.calls["scorer"]
        assert 0 < scored <= kept <= asked < size

        model.delay_s = 0.0
        subprocess.run(line, capture_output=True, timeout=600, check=True)
        assert model.asked - asked == size - kept
        assert model.calls["scorer"] - scorer == size - scored
        repeated = [url for url, times in asked_about(model).items() if times > 1]
        assert len(repeated) == asked - kept <= concurrency

        whole = command(world, tmp_path / "whole", f"m={model.url},bare", **options)
        subprocess.run(whole, capture_output=True, timeout=600, check=True)
        before = model.asked
        subprocess.run(line, capture_output=True, timeout=600, check=True)
        assert model.asked == before
    for name in ("results.json", "rejects.jsonl", "tables/accuracy.csv", "tables/reasoning_quality.md"):
        assert (tmp_path / "killed" / name).read_text() == (tmp_path / "whole" / name).read_text()
    written = [
        json.loads(text) for text in (tmp_path / "killed/traces/m-miniature-greedy.jsonl").read_text().splitlines()
    ]
    assert sorted(record["index"] for record in written) == list(range(size))


def test_an_endpoint_that_dies_is_waited_for(world: World, tmp_path: Path) -> None:
    model = Model(answer=lambda text: "<think>So the answer is left.</think><answer>left</answer>", delay_s=0.05)
    with scripted(model):
        port = int(model.url.split(":")[2].split("/")[0])
        process = subprocess.Popen(
            command(world, tmp_path / "out", f"m={model.url},bare", concurrency=4),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        while model.asked < 10:
            assert process.poll() is None
            time.sleep(0.02)
    time.sleep(4.0)
    assert process.poll() is None
    with scripted(model, port=port):
        output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output
    result = Evaluation.load(tmp_path / "out").results[0]
    assert (result.totals.scored, result.totals.rejected_items) == (len(world.examples), 0)
