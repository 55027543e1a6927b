import numpy as np
import pytest
import torch
from verl import DataProto
from verl.trainer.ppo.core_algos import get_adv_estimator_fn
from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories

from easyr1_fgrpo.algorithm import constrained_advantage
from easyr1_fgrpo.host import ESTIMATOR
from easyr1_fgrpo.training.handover import handed_over, handed_over_advantages
from easyr1_fgrpo.verl_plugin import estimator  # noqa: F401 (registers it)

KEYS = ["p_0_0", "p_1_0", "q_0_0", "q_1_0"]
MASK_BT = torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0], [1, 1, 1]])


def compute(mask_BT):
    return constrained_advantage(torch.tensor([1.0, 0.5, 0.0, 1.0]), {}, {}, {}, torch.tensor([0, 0, 1, 1]), mask_BT)


def test_registered_under_its_name():
    assert get_adv_estimator_fn(ESTIMATOR) is handed_over_advantages


def test_verl_calls_what_the_trainer_handed_over():
    data = DataProto.from_dict(
        tensors={"token_level_rewards": torch.zeros(MASK_BT.shape), "response_mask": MASK_BT},
        non_tensors={"uid": np.array([key[0] for key in KEYS], dtype=object)},
    )
    with handed_over(compute) as handover:
        data = compute_advantage_for_multi_trajectories(data, batch_keys=KEYS, adv_estimator=ESTIMATOR)
    expected = compute(MASK_BT).advantages
    assert expected.any()
    for found in (data.batch["advantages"], data.batch["returns"], handover.result.advantages):
        assert torch.equal(found, expected)


def test_refused_without_a_trainer_that_hands_over():
    with pytest.raises(RuntimeError, match=r"trainer\.v1\.trainer_mode=fgrpo"):
        handed_over_advantages(token_level_rewards=torch.zeros(1, 1), response_mask=torch.ones(1, 1))


def test_the_handover_ends_with_its_context_even_on_an_error():
    with pytest.raises(KeyError), handed_over(compute):
        raise KeyError
    with pytest.raises(RuntimeError, match="hands it the signals"):
        handed_over_advantages(token_level_rewards=torch.zeros(1, 1), response_mask=torch.ones(1, 1))
