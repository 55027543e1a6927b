"""The reward actor: a batch scored, EasyR1's rewards and averages, and every rollout's numbers for the trainer."""

import asyncio
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from easyr1_fgrpo.easyr1_plugin.rewards import SESSION, FaithfulRewards, numbered
from easyr1_fgrpo.easyr1_plugin.rows import ROW
from easyr1_fgrpo.traces import read_traces

RIGHT = "<think>So the answer is left.</think><answer>left</answer>"
WRONG = "<think>So the answer is right.</think><answer>right</answer>"
WITHOUT_FORMAT = "left"
SETTINGS = {
    "constraint_keys": ["consistency"],
    "constraints": {"consistency": {"threshold": 0.9}},
    "judges": {"consistency": {"kind": "local", "target": "easyr1_fgrpo.miniature.own.judge:ConclusionJudge"}},
}


class Characters:
    """A tokenizer of characters."""

    eos_token_id = 0

    def decode(self, ids, skip_special_tokens):
        return "".join(chr(token) for token in ids if token != self.eos_token_id)


def batch(*rollouts, session=None):
    """Of (row, response), each ended by its end token and padded."""
    width = max(len(text) for _, text in rollouts) + 2
    responses_BT = torch.zeros(len(rollouts), width, dtype=torch.long)
    mask_BT = torch.zeros_like(responses_BT)
    for row, (_, text) in enumerate(rollouts):
        responses_BT[row, : len(text)] = torch.tensor(list(map(ord, text)))
        mask_BT[row, : len(text) + 1] = 1
    info = {"split": "train", "question": "Where?", "choices": ["left", "right"], "boxes": [], "width": 1, "height": 1}
    columns = {ROW: np.empty(len(rollouts), dtype=object), "multi_modal_data": np.empty(len(rollouts), dtype=object)}
    for row, (index, _) in enumerate(rollouts):
        columns[ROW][row] = {"reward_model": {"ground_truth": "left"}, "extra_info": {**info, "index": index}}
        columns["multi_modal_data"][row] = {"images": [f"picture {index}"]}
    if session:
        columns[SESSION] = np.array(session, dtype=object)
    return SimpleNamespace(batch={"responses": responses_BT, "response_mask": mask_BT}, non_tensor_batch=columns)


@pytest.fixture
def rewards(tmp_path):
    settings = SETTINGS | {"run_dir": str(tmp_path / "run")}
    made = FaithfulRewards(settings, Characters(), None, pixels=(None, None), max_response_length=200)
    made.read = []
    made._see = lambda raw: made.read.extend(raw) or ()
    return made


def test_rewards_stand_at_the_last_token_and_averages_are_over_what_was_measured(rewards):
    async def scored():
        await rewards.begin(3)
        found = await rewards.compute_reward(batch((5, RIGHT), (5, WRONG), (6, WITHOUT_FORMAT), session=[1, 0, 0]))
        return *found, await rewards.take()

    rewards_BT, measured, numbers = asyncio.run(scored())
    assert [row.nonzero().flatten().tolist() for row in rewards_BT] == [[len(RIGHT)], [len(WRONG)], []]
    assert rewards_BT.sum(1).tolist() == [1.0, 0.5, 0.0]
    assert measured["overall"] == [1.0, 0.5, 0.0]
    assert measured["accuracy"] == [1.0, 0.0, 0.0]
    assert measured["consistency"] == [1.0]  # of right answers only, and never NaN
    assert "semantic_grounding" not in measured  # no judge: EasyR1 would average an empty list to NaN
    assert [found["accuracy"] for found in numbers] == [1.0, 0.0, 0.0]
    assert rewards.read == ["picture 5", "picture 6"]  # a group's picture is read once


def test_traces_have_the_step_and_the_number_within_the_group(rewards, tmp_path):
    async def scored():
        await rewards.begin(3)
        await rewards.compute_reward(batch((5, RIGHT), (5, WRONG), session=[1, 0]))
        await rewards.begin(4)
        await rewards.compute_reward(batch((5, RIGHT), (6, RIGHT), (5, WRONG)))  # a validation's have no column
        return await rewards.take()

    assert len(asyncio.run(scored())) == 3
    records, bad = read_traces((tmp_path / "run/traces").glob("train-*.jsonl"))
    assert bad == 0
    found = {(record.step, record.index, record.session): record.answer for record in records}
    assert found == {
        **{(3, 5, 1): "left", (3, 5, 0): "right"},
        **{(4, 5, 0): "left", (4, 6, 0): "left", (4, 5, 1): "right"},
    }


def test_a_rollout_that_cannot_be_scored_has_no_reward_and_says_so(rewards):
    def unreadable(raw):
        raise OSError("gone")

    rewards._see = unreadable

    async def scored():
        await rewards.begin(1)
        return await rewards.compute_reward(batch((5, RIGHT)))

    rewards_BT, measured = asyncio.run(scored())
    assert not rewards_BT.any()
    assert measured == {}
    assert json.dumps(rewards._numbers[0]["task_valid"]) == "0.0"


def test_rows_are_numbered_within_their_group():
    assert numbered(["a", "b", "a", "a", "b"]) == [0, 0, 1, 2, 1]
