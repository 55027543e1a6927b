import asyncio
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from verl import DataProto

from easyr1_fgrpo.rewards import Reason, failed_numbers
from easyr1_fgrpo.verl_plugin.reward_manager import FaithfulRewardManager

SCORED = {"task": 0.5, "task_valid": 1.0}


class Scorer:
    """Notes the rollout it is given, and what its images are."""

    def __init__(self, numbers=SCORED):
        self.numbers = numbers

    async def score(self, rollout):
        self.rollout, self.images = rollout, rollout.images()
        return self.numbers


@pytest.fixture
def manager():
    manager = object.__new__(FaithfulRewardManager)  # __init__ needs a running Ray
    manager.config = SimpleNamespace(data=SimpleNamespace(image_patch_size=14))
    manager.scorer = Scorer()
    return manager


def outputs(*responses):
    """The outputs of a session as verl hands them over."""
    ids = torch.zeros(len(responses), 9, dtype=torch.long)
    for row, tokens in enumerate(responses):
        ids[row, : len(tokens)] = torch.tensor(tokens)
    prompt = [{"role": "user", "content": [{"type": "image", "image": Image.new("RGB", (84, 56), "red")}]}]
    fields = {
        "response_len": [len(tokens) for tokens in responses],
        "raw_prompt": [prompt] * len(responses),
        "extra_info": [{"index": 5}] * len(responses),
        "reward_model": [{"ground_truth": "left"}] * len(responses),
        "global_steps": [3] * len(responses),
        "session_id": [2] * len(responses),
    }
    columns = {}
    for name, values in fields.items():
        columns[name] = np.empty(len(responses), dtype=object)
        columns[name][:] = values
    return DataProto.from_dict(tensors={"responses": ids}, non_tensors=columns)


def test_the_last_output_of_a_session_is_handed_over(manager):
    found = asyncio.run(manager.run_single(outputs([7, 8], [4, 5, 6])))
    assert found == {"reward_score": 0.5, "reward_extra_info": SCORED}
    rollout = manager.scorer.rollout
    assert (rollout.response_ids, rollout.step, rollout.session) == ([4, 5, 6], 3, 2)
    assert rollout.row["extra_info"] == {"index": 5}
    assert rollout.row["reward_model"] == {"ground_truth": "left"}
    assert [image.size for image in manager.scorer.images] == [(84, 56)]


def test_verl_gets_a_number_also_for_a_rollout_without_a_task_reward(manager):
    manager.scorer = Scorer(failed_numbers(Reason.REWARD_FAILED))
    found = asyncio.run(manager.run_single(outputs([7])))
    assert found["reward_score"] == 0.0
    assert math.isnan(found["reward_extra_info"]["task"])
