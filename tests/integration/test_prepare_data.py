"""The whole way from generated source files to both sets, killed in the middle of the difficulty filter."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from judge_endpoint import Script, judge_endpoint

from data_prep.difficulty.filter import Keep, _settings, filter_by_difficulty
from data_prep.difficulty.ledger import Ledger
from data_prep.difficulty.rollout_engines import Endpoint
from data_prep.difficulty.rollouts import Sampling, measure, row_key
from data_prep.shards import read_rows, read_summary
from easyr1_fgrpo.rows import ROW_SCHEMA, check_rows
from easyr1_fgrpo.task_prompt import user_text

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests/unit/data_prep"))
from source_files import make_sources  # noqa: E402

pytestmark = pytest.mark.integration

SOURCES = ("sat", "vgr", "visual_cot", "treevgr")
ROWS = 20
DEADLINE_S = 900
SAMPLING = Sampling("base")
MIX = {"sat": 8, "vgr": 6, "visual_cot": 7, "treevgr": 5}


def guess(text: str, seed: int) -> str:
    """What a model that sees nothing says: an option or a word that fits, by chance."""
    options = [line[3:] for line in text.splitlines() if line[1:3] == ". "]
    words = ["left", "right"] if "side" in text else ["red", "green", "blue", "yellow"]
    draw = hashlib.sha256(f"{text} {seed}".encode()).digest()[0]
    said = options or words
    return said[draw % len(said)]


class Models:
    """Teacher and base model at one URL, told apart by name; the base model is slow enough to be killed in between."""

    def __init__(self) -> None:
        self.asked: Counter[tuple[str, int]] = Counter()
        # A number of its own: the test reads it while the server's thread adds to the counter.
        self.base_calls = 0

    async def answer(self, case) -> str:
        model, seed = case.body["model"], case.body["seed"]
        self.asked[model, seed] += 1
        if model == "base":
            self.base_calls += 1
            await asyncio.sleep(0.1)
            return f"<think>I guess.</think><answer>{guess(case.text, seed)}</answer>"
        question = case.text.partition("Question: ")[2].partition("\n\n")[0]
        if "No steps so far" in case.text:
            x, y = seed % 40, seed // 7 % 40
            return f"<think>There is a block at <bbox>[{x},{y},{x + 14},{y + 12}]</bbox>.</think>"
        return f"<think>That settles it.</think><answer>{guess(question, seed)}</answer>"


def environment(files: Path, out: Path, embedder: Path, url: str) -> dict[str, str]:
    return {
        **{key: value for key, value in os.environ.items() if key not in ("RAY_ADDRESS", "PYTHONPATH")},
        **{name.upper(): str(files / name) for name in SOURCES},
        **{"VGR_IMAGES": str(files / "llava"), "OUT": str(out), "EMBEDDER": str(embedder)},
        **{"TEACHER_URL": url, "TEACHER_MODEL": "teacher", "BASE_URL": url, "BASE_MODEL": "base"},
        **{"SEEDS": "sat=2 vgr=2 visual_cot=3", "MIX": " ".join(f"{n}={c}" for n, c in MIX.items()), "VAL": "4"},
        **{"BENCHMARKS": str(files / "benchmark"), "CONCURRENCY": "8", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    }


def recipe(environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            ["bash", "recipes/prepare_data.sh"],
            **{"cwd": ROOT, "env": environment, "stdout": output, "stderr": subprocess.STDOUT},
            start_new_session=True,
        )


def measured(ledger: Path) -> set[int]:
    """Seeds of the rollouts that a ledger holds."""
    lines = [line for line in ledger.read_bytes().splitlines(keepends=True)[1:] if line.endswith(b"\n")]
    outcomes = [json.loads(line) for line in lines]
    return {SAMPLING.seed_of(outcome["key"], outcome["number"]) for outcome in outcomes}


def make_embedder(folder: Path) -> Path:
    """A sentence-transformers folder, from a configuration: a random vector a word, averaged."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["[UNK]", "which", "side", "color", "block", "red", "green", "blue", "yellow", "left", "right"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    torch.manual_seed(0)
    SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=8)], device="cpu").save(str(folder))
    return folder


def plant_benchmark(files: Path) -> None:
    """One of SAT's pictures as a benchmark item."""
    picture = pq.read_table(files / "sat" / "SAT_train.parquet")["image_bytes"][3][0].as_py()
    (files / "benchmark").mkdir()
    (files / "benchmark" / "item.jpg").write_bytes(picture)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Both sets, after a kill -9 in the middle of the difficulty filter."""
    folder = tmp_path_factory.mktemp("prepare_data")
    files = make_sources(folder / "files", rows=ROWS)
    plant_benchmark(files)
    embedder = make_embedder(folder / "embedder")
    models, out = Models(), folder / "out"
    with judge_endpoint(Script(answer=models.answer)) as server:
        given = environment(files, out, embedder, server.url)
        first = recipe(given, folder / "first.log")
        deadline = time.monotonic() + DEADLINE_S
        while models.base_calls < 150:
            assert first.poll() is None, (folder / "first.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
        before = measured(out / "filtered" / "rollouts.jsonl")
        second = recipe(given, folder / "second.log")
        assert second.wait(DEADLINE_S) == 0, (folder / "second.log").read_text()
    return out, models, before, (folder / "second.log").read_text()


def test_the_recipe_makes_both_sets_and_they_are_valid(made):
    out, _, _, log = made
    train, val = out / "rl" / "train.parquet", out / "rl" / "val.parquet"
    assert "good: 2 files, 26 rows" in log
    assert check_rows([train, val]) == []
    assert (pq.read_metadata(train).num_rows, pq.read_metadata(val).num_rows) == (22, 4)
    schema = pq.read_schema(train)
    assert set(ROW_SCHEMA.names) == set(schema.names)
    for name in ("reward_model", "extra_info"):
        needed = {field.name for field in ROW_SCHEMA.field(name).type}
        assert needed <= {field.name for field in schema.field(name).type}
    sources = Counter(row["data_source"] for path in (train, val) for row in read_rows(path, ["data_source"]))
    assert sources == MIX
    assert pq.read_metadata(out / "traces" / "sft" / "train.parquet").num_rows > 0
    assert json.loads((out / "traces" / "sft" / "traces.json").read_text())
    assert "<img" in (out / "rl" / "contact_sheet.html").read_text()


def test_the_card_counts_what_the_stages_did(made):
    out, _, _, _ = made
    card = (out / "rl" / "README.md").read_text()
    for name in SOURCES:
        summary = read_summary(out / "filtered" / name)
        left_out = summary["in"] - summary["out"]
        assert f"| filtered/{name} | {name} | {summary['in']} | {summary['out']} | {left_out} |" in card
    assert "| all | 22 | 4 |  |" in card
    assert "traces/sft | chains |" in card


def test_a_benchmark_picture_does_not_reach_the_set(made):
    out, _, _, _ = made
    planted = (out.parent / "files" / "benchmark" / "item.jpg").read_bytes()
    summary = read_summary(out / "normalised" / "sat")
    assert (summary["in"], summary["out"]) == (ROWS, ROWS - 1)
    for path in (out / "seeds" / "seeds.parquet", out / "rl" / "train.parquet", out / "rl" / "val.parquet"):
        assert planted not in {image["bytes"] for row in read_rows(path, ["images"]) for image in row["images"]}


def test_no_measured_rollout_is_asked_for_again(made):
    out, models, before, _ = made
    everything = measured(out / "filtered" / "rollouts.jsonl")
    rows = sum(read_summary(out / "normalised" / name)["out"] for name in SOURCES)
    assert 0 < len(before) < len(everything) == 4 * rows
    assert {models.asked["base", seed] for seed in before} == {1}


def test_the_killed_and_repeated_filter_equals_one_worked_out_by_hand(made, tmp_path):
    out, _, _, _ = made
    folders = {name: out / "normalised" / name for name in SOURCES}
    ledger = Ledger(tmp_path / "filtered" / "rollouts.jsonl", _settings(folders, SAMPLING))
    for name, folder in folders.items():
        for row in read_rows(folder):
            info, key = row["extra_info"], row_key(name, row["extra_info"])
            text = user_text(info["question"], info["choices"], 0)
            for number in range(4):
                said = f"<think>I guess.</think><answer>{guess(text, SAMPLING.seed_of(key, number))}</answer>"
                truth = {"ground_truth": row["reward_model"]["ground_truth"], "choices": info["choices"]}
                ledger.add([measure({"key": key, "number": number, "text": said, **truth})])
    ledger.close()
    nobody = Endpoint(["http://127.0.0.1:9/v1"])
    filter_by_difficulty(list(folders.values()), tmp_path / "filtered", nobody, SAMPLING, Keep())
    for name in SOURCES:
        files = sorted(path.name for path in (tmp_path / "filtered" / name).iterdir())
        assert files == sorted(path.name for path in (out / "filtered" / name).iterdir())
        for file in set(files) - {"summary.json"}:
            assert (tmp_path / "filtered" / name / file).read_bytes() == (out / "filtered" / name / file).read_bytes()
        ours, theirs = (read_summary(folder / "filtered" / name) for folder in (tmp_path, out))
        assert ours | {"command": ""} == theirs | {"command": ""}
