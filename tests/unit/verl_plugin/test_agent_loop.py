from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop

from easyr1_fgrpo.verl_plugin.agent_loop import SeededSingleTurn, rollout_seed
from easyr1_fgrpo.verl_plugin.names import CPU_ROLLOUT

numbers = st.integers(0, 10**6)
rollouts = st.tuples(numbers, numbers, numbers, numbers)


def test_the_seed_is_the_same_on_every_machine():
    # sha256 of "0/1/2/3" begins with 24e4a4ede559ac7b; as a 64-bit integer without its lowest bit
    assert rollout_seed(0, 1, 2, 3) == 0x24E4A4EDE559AC7B // 2 == 1329215510858749501


@given(st.lists(rollouts, unique=True, max_size=20))
def test_seeds_are_distinct_and_fit_63_bits(keys):
    seeds = [rollout_seed(*key) for key in keys]
    assert len(set(seeds)) == len(keys)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_parts_do_not_run_together():
    assert rollout_seed(0, 1, 23, 0) != rollout_seed(0, 12, 3, 0)


@pytest.mark.parametrize(
    ("server", "split", "expected"),
    [(CPU_ROLLOUT, "train", 16 * 5), (CPU_ROLLOUT, "val", None), ("vllm", "train", None)],
)
async def test_a_rollout_is_asked_for_with_its_own_seed(monkeypatch, server, split, expected):
    async def run(self, sampling_params, priority=0, **row):
        return sampling_params

    monkeypatch.setattr(SingleTurnAgentLoop, "run", run)
    loop = object.__new__(SeededSingleTurn)
    loop.rollout_config = SimpleNamespace(seed=7, name=server, n=5)
    loop.data_config = SimpleNamespace(train_batch_size=16)
    asked = {"temperature": 1.0}
    row = {"global_steps": 3, "index": 11, "session_id": 4, "extra_info": {"split": split}}
    params = await loop.run(asked, **row)
    assert params["seed"] == rollout_seed(7, 3, 11, 4)
    assert params.get("expected") == expected
    assert asked == {"temperature": 1.0}  # shared by all rollouts
