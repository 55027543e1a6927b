import asyncio
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from verl import DataProto

from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.judges.protocol import Label, Question, Verdict
from easyr1_fgrpo.miniature.tokenizer import build_tokenizer
from easyr1_fgrpo.rewards import Reason
from easyr1_fgrpo.traces import TraceWriter, read_traces
from easyr1_fgrpo.training.sentence_tokens import SENTENCE_TOKENS
from easyr1_fgrpo.verl_plugin.reward_manager import FaithfulRewardManager, read_sample

INFO = {
    "index": 5,
    "split": "train",
    "question": "Is red left or right of blue?",
    "choices": ["left", "right"],
    "boxes": [[7, 14, 28, 42]],
    "width": 42,
    "height": 84,
}
RIGHT = "<think>The red circle is at <bbox>[14,14,56,42]</bbox>.</think><answer>left</answer>"
WRONG = "<think>The red circle is at <bbox>[14,14,56,42]</bbox>.</think><answer>right</answer>"


class Agrees:
    name = "agrees"

    async def ask(self, request):
        return Verdict(Label.YES if request.kind is Question.CONSISTENCY else Label.CORRECT, self.name)


@pytest.fixture
def manager(tmp_path):
    manager = object.__new__(FaithfulRewardManager)  # __init__ needs a running Ray
    manager.tokenizer = build_tokenizer()
    manager.config = SimpleNamespace(data=SimpleNamespace(max_response_length=40, image_patch_size=14))
    settings = {"run_dir": str(tmp_path), "constraint_keys": [], "constraints": {}, "judges": {}}
    manager.settings = FgrpoConfig.model_validate(settings)
    manager.custom_signals = {}
    manager.judges = dict.fromkeys(Question, Agrees())
    manager.writers = {split: TraceWriter(tmp_path, split, "0") for split in ("train", "val")}
    return manager


def outputs(manager, *texts, split="train", picture=None, end=True):
    """A session's outputs as verl hands them over; the image is twice as wide as the raw one."""
    picture = picture or Image.new("RGB", (84, 84), "red")
    ids = [manager.tokenizer(text + manager.tokenizer.eos_token * end)["input_ids"] for text in texts]
    responses = torch.zeros(len(ids), 200, dtype=torch.long)
    for row, tokens in enumerate(ids):
        responses[row, : len(tokens)] = torch.tensor(tokens)
    prompt = [{"role": "user", "content": [{"type": "image", "image": picture}, {"type": "text", "text": "?"}]}]
    fields = {
        "response_len": [len(tokens) for tokens in ids],
        "raw_prompt": [prompt] * len(ids),
        "extra_info": [INFO | {"split": split}] * len(ids),
        "reward_model": [{"ground_truth": "left"}] * len(ids),
        "global_steps": [3] * len(ids),
        "session_id": [2] * len(ids),
        "index": [5] * len(ids),
    }
    columns = {}
    for name, values in fields.items():
        columns[name] = np.empty(len(ids), dtype=object)
        columns[name][:] = values
    return DataProto.from_dict(tensors={"responses": responses}, non_tensors=columns)


def run(manager, data):
    found = asyncio.run(manager.run_single(data))
    return found["reward_score"], found["reward_extra_info"]


SENTENCES = (
    "<think>The red circle is at <bbox>[14,14,56,42]</bbox>. The red circle is left of the blue square. So the answer"
    " is left.</think><answer>left</answer>"
)


class SaysLeftIsWrong:
    """Half of the claims are wrong, so that a sentence's verdict is not its neighbour's."""

    name = "wrong"

    async def ask(self, request):
        if request.kind is Question.CONSISTENCY:
            return Verdict(Label.YES, self.name)
        return Verdict(Label.INCORRECT if "left of" in request.claim else Label.CORRECT, self.name)


def test_at_the_sentence_level_verdicts_come_with_their_tokens(manager):
    constraint = {"semantic_grounding": {"threshold": 0.95}}
    settings = manager.settings.model_dump() | {"constraint_keys": list(constraint), "constraints": constraint}
    settings["reward"]["level"] = "sentence"
    manager.settings = FgrpoConfig.model_validate(settings)
    manager.judges = dict.fromkeys(Question, SaysLeftIsWrong())
    numbers = run(manager, outputs(manager, SENTENCES))[1]
    ids = manager.tokenizer(SENTENCES)["input_ids"]
    written = [(manager.tokenizer.decode(ids[a:b]), value) for a, b, value in numbers[SENTENCE_TOKENS]]
    assert written == [
        ("The red circle is at <bbox>[14,14,56,42]</bbox>.", 1.0),
        (" The red circle is left of the blue square.", 0.0),
        (" So the answer is left.", 1.0),
    ]
    assert numbers["semantic_grounding"] == pytest.approx(2 / 3)
    assert run(manager, outputs(manager, WRONG))[1][SENTENCE_TOKENS] == []  # nobody judged it
    assert SENTENCE_TOKENS not in run(manager, outputs(manager, SENTENCES, split="val"))[1]


def traces(run_dir):
    records, bad = read_traces(sorted((run_dir / "traces").glob("*.jsonl")))
    assert bad == 0
    return records


def test_a_rollout_becomes_numbers_and_a_trace(manager, tmp_path):
    reward, numbers = run(manager, outputs(manager, RIGHT))
    assert reward == numbers["task"] == 1.0
    assert numbers["consistency"] == numbers["consistency_valid"] == 1.0
    # the box of the response is the raw box at twice the width: [14, 14, 56, 42]
    assert numbers["spatial_grounding"] == 1.0
    assert numbers["truncated"] == 0.0
    (record,) = traces(tmp_path)
    assert (record.step, record.index, record.session) == (3, 5, 2)
    assert record.response == RIGHT


def test_the_last_output_of_a_session_is_scored(manager):
    reward, numbers = run(manager, outputs(manager, RIGHT, WRONG))
    assert (reward, numbers["acc"]) == (0.5, 0.0)


def test_training_judges_correct_rollouts_only_validation_all(manager, tmp_path):
    _, train = run(manager, outputs(manager, WRONG))
    _, val = run(manager, outputs(manager, WRONG, split="val"))
    assert (train["consistency_valid"], train["consistency_reason"]) == (0.0, float(Reason.ANSWER_WRONG))
    assert (val["consistency"], val["consistency_valid"], val["consistency_reason"]) == (1.0, 0.0, 0.0)
    assert [record.split for record in traces(tmp_path)] == ["train", "val"]


def test_a_response_at_the_limit_without_an_end_is_truncated(manager):
    manager.config.data.max_response_length = len(manager.tokenizer(RIGHT)["input_ids"])
    assert run(manager, outputs(manager, RIGHT, end=False))[1]["truncated"] == 1.0
    manager.config.data.max_response_length += 1
    assert run(manager, outputs(manager, RIGHT, end=False))[1]["truncated"] == 0.0
    assert run(manager, outputs(manager, RIGHT, end=True))[1]["truncated"] == 0.0  # the end token fits exactly


def test_a_rollout_that_cannot_be_scored_is_invalid_and_logged(manager, caplog):
    reward, numbers = run(manager, outputs(manager, RIGHT, picture="no/such/file.png"))
    _, scored = run(manager, outputs(manager, RIGHT))
    assert reward == 0.0
    assert (numbers["task_valid"], numbers["task_reason"]) == (0.0, float(Reason.REWARD_FAILED))
    assert math.isnan(numbers["task"])
    assert numbers.keys() == scored.keys()  # verl takes the keys from the first row
    assert "scoring failed for dataset row 5" in caplog.text
    assert "no/such/file.png" in caplog.text


def test_boxes_are_brought_to_the_size_the_policy_sees():
    fields = {"extra_info": INFO, "reward_model": {"ground_truth": "left"}}
    # 42 x 84 pixels shown at 84 x 28: twice as wide, a third as high
    sample = read_sample(fields, (Image.new("RGB", (84, 28)),))
    assert sample.boxes == (pytest.approx((14.0, 14 / 3, 56.0, 14.0)),)
    assert (sample.question, sample.choices) == (INFO["question"], ("left", "right"))
    assert (sample.index, sample.split) == (5, "train")


def test_null_lists_are_empty():
    fields = {"extra_info": INFO | {"boxes": None, "choices": None}, "reward_model": {"ground_truth": "left"}}
    sample = read_sample(fields, ())
    assert (sample.boxes, sample.choices) == ((), ())


class Characters:
    """A tokenizer of characters: the miniature's has no number beyond its pictures."""

    eos_token, eos_token_id = "\0", 0

    def __call__(self, text):
        return {"input_ids": [ord(character) for character in text]}

    def decode(self, ids, skip_special_tokens):
        return "".join(map(chr, ids)).removesuffix(self.eos_token)


def test_a_policy_that_writes_thousandths_is_scored_in_pixels(manager, tmp_path):
    images = manager.settings.images.model_copy(update={"coordinates": "thousand"})
    manager.settings = manager.settings.model_copy(update={"images": images})
    wide = Image.new("RGB", (1120, 840), "red")
    # the raw box [7, 14, 28, 42] of 42 x 84 pixels: a sixth to two thirds of the width, a sixth to a half of the height
    manager.tokenizer = Characters()
    manager.config.data.max_response_length = 200
    thousandths = RIGHT.replace("[14,14,56,42]", "[166,166,666,500]")
    _, numbers = run(manager, outputs(manager, thousandths, picture=wide))
    assert numbers["spatial_grounding"] > 0.99
    (record,) = traces(tmp_path)
    assert record.response == thousandths
    assert record.boxes[0] == pytest.approx((0.166 * 1120, 0.166 * 840, 0.666 * 1120, 0.5 * 840))
