"""What one process does for all of a step's rollouts, at the paper's size and at one of 64 nodes (docs/scaling.md)."""

import random
import statistics
import time

import pytest
import ray
import torch
import transfer_queue as tq

from easyr1_fgrpo.config.load import load_config, read_settings
from easyr1_fgrpo.rewards import SIGNALS, TASK, Reason, failed_numbers
from easyr1_fgrpo.training.step import Fgrpo
from easyr1_fgrpo.training.step_signals import RolloutId

SIZES = {"paper": (128, 5), "64 nodes": (1024, 5)}
"""Prompts and rollouts of each."""

RESPONSE = 1024


def numbers(draws):
    """What a reward worker reports of a rollout whose every signal was measured."""
    values = {name: draws.random() for name in (*SIGNALS, TASK)}
    return failed_numbers(Reason.NONE, ()) | values | {f"{name}_valid": 1.0 for name in values}


@pytest.mark.parametrize("size", SIZES)
def test_the_drivers_part_of_a_step(benchmark, size):
    """Signals of all rollouts, advantage, dual step, metrics: grows with the rollouts, and no faster."""
    prompts, n = SIZES[size]
    draws = random.Random(0)
    ids = [RolloutId(f"run-1-{prompt}", session, 0) for prompt in range(prompts) for session in range(n)]
    reported = [numbers(draws) for _ in ids]
    mask_BT = torch.ones(len(ids), RESPONSE, dtype=torch.long)
    fgrpo = Fgrpo(read_settings(load_config([])))

    def one():
        step = fgrpo.begin_step(1, ids, reported, expected=len(ids))
        fgrpo.end_step(step, fgrpo.advantage(step, mask_BT))

    benchmark.pedantic(one, rounds=5, warmup_rounds=1)
    assert benchmark.stats["min"] < len(ids) * 1e-3


@pytest.fixture
def queue():
    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False)
    tq.init()
    yield tq
    tq.close()
    ray.shutdown()


def test_looking_into_the_queue(benchmark, queue):
    """verl's replay buffer lists every key of a step each time it looks, ours ten times a second."""
    seconds, put = {}, 0
    for size, (prompts, n) in SIZES.items():
        keys = [f"run-1-{row}" for row in range(put, prompts * (n + 1))]
        tags = [{"is_prompt": False, "status": "finished", "global_steps": 1, "seq_len": 700, "score": 1.0}] * len(keys)
        queue.kv_batch_put(keys=keys, partition_id="train", tags=tags)
        put += len(keys)
        assert len(queue.kv_list()["train"]) == put
        times = []
        for _ in range(10):
            started = time.perf_counter()
            queue.kv_list()
            times.append(time.perf_counter() - started)
        seconds[size] = statistics.median(times)
    benchmark.extra_info |= seconds
    benchmark.pedantic(queue.kv_list, rounds=5)
    assert seconds["64 nodes"] < 2.0
