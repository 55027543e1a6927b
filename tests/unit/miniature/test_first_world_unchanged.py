"""The first world's outputs for seed 0, as hashes: results in the README were trained on exactly these."""

import asyncio
import hashlib
import io
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from easyr1_fgrpo.judges.protocol import JudgeRequest, Question
from easyr1_fgrpo.miniature.build import build
from easyr1_fgrpo.miniature.oracle import OracleJudge
from easyr1_fgrpo.miniature.render import fingerprint
from easyr1_fgrpo.miniature.teacher import backbone_response
from easyr1_fgrpo.miniature.tokenizer import build_tokenizer
from easyr1_fgrpo.miniature.worlds.one_step import draw_example
from easyr1_fgrpo.rewards.response import parse_response
from easyr1_fgrpo.rewards.sentences import split_sentences

FILES = {
    "test": "caae80e3a74c7ce7",
    "val": "eff879d410a4645f",
    "sft_val": "45f9e99dda1f4d6f",
    "sft_train": "13a88ff104198bc4",
    "train": "342275b782566940",
}
HOSTILE = (
    "The red is at <bbox>[0,0,28,28]</bbox>.",
    "The blue is nearer than the red.",
    "The red circle is left of the blue. The red is right of the blue square.",
    "So the red circle is left of the blue square, so the answer is left.",
    "The RED Circle is LEFT the blue square.",
    "Of the red and the blue, is the nearer one left or right of the green?",
    "The green triangle is above the blue square. So the final answer is: ABOVE.",
    "red red is at <bbox>[0,0,1]</bbox>",
    "",
)


def digest(value):
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    out = tmp_path_factory.mktemp("golden") / "world"
    build(out, seed=0, train=24, val=8, test=8, sft=64, sft_val=8)
    return out


def pictures(row):
    return [Image.open(io.BytesIO(image["bytes"])) for image in row["images"]]


def rows(world, name):
    """The hashes are older than the one schema of all rows: boxes were whole numbers, and nothing told a licence."""
    read = pq.read_table(world / f"{name}.parquet").to_pylist()
    for info in (row["extra_info"] for row in read if "extra_info" in row):
        assert [info.pop(name) for name in ("dataset", "question_type", "licence")] == [None] * 3
        assert info["boxes"] == [[int(side) for side in box] for box in info["boxes"]]
        info["boxes"] = [[int(side) for side in box] for box in info["boxes"]]
    return read


@pytest.mark.parametrize("name", FILES)
def test_rows_pictures_and_noisy_traces(world, name):
    read = [row | {"images": [fingerprint(picture) for picture in pictures(row)]} for row in rows(world, name)]
    assert digest(read) == FILES[name]


def test_scenes(world):
    assert hashlib.sha256((world / "scenes.jsonl").read_bytes()).hexdigest()[:16] == "56c7d360c9a8111b"


def test_tokenizer(world):
    tokenizer = build_tokenizer()
    conversations = [row["messages"] for row in rows(world, "sft_train")]
    ids = [tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False) for messages in conversations]
    assert digest(sorted(tokenizer.get_vocab().items())) == "fa232919252516d3"
    assert digest([ids, tokenizer(list(HOSTILE))["input_ids"], tokenizer.chat_template]) == "2484f3f7eb438248"


def test_true_traces():
    rng = np.random.default_rng(0)
    assert digest([backbone_response(draw_example(rng), rng) for _ in range(64)]) == "621609276703ead6"


def test_verdicts(world):
    judge = OracleJudge(world / "scenes.jsonl")

    async def verdicts():
        labels = []
        for row in rows(world, "sft_train"):
            question = row["messages"][0]["content"].removeprefix("<image>")
            response, shown = parse_response(row["messages"][1]["content"]), tuple(pictures(row))
            for answer in ("left", "right", "above", "below", "nearer", "farther", "left of"):
                for trace in (response.trace, f"{response.trace} {HOSTILE[2]}", *HOSTILE):
                    asked = JudgeRequest(kind=Question.CONSISTENCY, question=question, context=trace, answer=answer)
                    labels.append((await judge.ask(asked)).label.value)
            for claim in (*(sentence.text for sentence in split_sentences(response.trace)), *HOSTILE):
                for context in ("", response.trace):
                    asked = JudgeRequest(
                        kind=Question.GROUNDING, question=question, images=shown, context=context, claim=claim
                    )
                    labels.append((await judge.ask(asked)).label.value)
        return labels

    assert digest(asyncio.run(verdicts())) == "1fb390a69ca5de6c"
