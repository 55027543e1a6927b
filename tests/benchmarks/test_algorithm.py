"""Speed of the constrained advantage and the dual step, in absolute time, beside verl's gdpo, and over batch size."""

import statistics
import time

import numpy as np
import torch
from verl.trainer.ppo.core_algos import compute_gdpo_outcome_advantage

from easyr1_fgrpo.algorithm import Constraint, DualAscent, constrained_advantage

NAMES = ("consistency", "spatial_grounding", "semantic_grounding")
GROUP = 5


class Batch:
    """Random signals of `size` rollouts in shuffled groups of five, with responses of 1 to `length` tokens."""

    def __init__(self, size, length):
        generator = torch.Generator().manual_seed(0)
        self.task_B = torch.randint(0, 3, (size,), generator=generator) / 2
        self.signals = {name: torch.rand(size, generator=generator) for name in NAMES}
        self.masks = {name: torch.rand(size, generator=generator) > 0.3 for name in NAMES}
        self.groups_B = (torch.arange(size) // GROUP)[torch.randperm(size, generator=generator)]
        lengths_B = torch.randint(1, length + 1, (size, 1), generator=generator)
        self.response_mask_BT = (torch.arange(length) < lengths_B).long()

    def step(self):
        controller = DualAscent(
            [Constraint(name, 0.95) for name in NAMES], lr=0.05, max_multiplier=5.0, min_applicable=8
        )
        result = constrained_advantage(
            self.task_B, self.signals, self.masks, controller.multipliers, self.groups_B, self.response_mask_BT
        )
        controller.step({name: (self.signals[name], self.masks[name]) for name in NAMES})
        return result.advantages

    def gdpo(self):
        # verl's estimator has no masks and no multipliers: the same four signals, each counted everywhere.
        scores = {"task": self.task_B, **self.signals}
        prompts = torch.zeros(len(self.task_B), 1, dtype=torch.long)
        advantages, _ = compute_gdpo_outcome_advantage(
            token_level_rewards=torch.zeros_like(self.response_mask_BT, dtype=torch.float32),
            response_mask=self.response_mask_BT,
            index=self.groups_B.numpy(),
            config={"gdpo_reward_keys": list(scores)},
            non_tensor_batch={name: np.asarray(score_B) for name, score_B in scores.items()},
            batch={"prompts": prompts, "attention_mask": torch.cat([prompts + 1, self.response_mask_BT], dim=1)},
        )
        return advantages


def beside(benchmark, function, other, rounds):
    """Times `function` and, between its rounds, `other`; returns the median seconds of both."""
    times = []

    def run_other():
        start = time.perf_counter()
        other()
        times.append(time.perf_counter() - start)

    benchmark.pedantic(function, setup=run_other, rounds=rounds, warmup_rounds=2)
    return benchmark.stats.stats.median, statistics.median(times)


def test_a_training_step_takes_less_than_50_ms(benchmark):
    batch = Batch(640, 1024)
    advantages = benchmark.pedantic(batch.step, rounds=30, warmup_rounds=3)
    assert advantages.shape == (640, 1024)
    assert benchmark.stats.stats.median < 0.050


def test_ten_times_faster_than_gdpo_of_verl(benchmark):
    batch = Batch(640, 1024)
    ours, gdpo = beside(benchmark, batch.step, batch.gdpo, rounds=30)
    benchmark.extra_info["times_faster_than_gdpo"] = gdpo / ours
    assert gdpo > 10.0 * ours


def test_time_is_near_linear_in_rollouts(benchmark):
    small, large = Batch(8_192, 64), Batch(65_536, 64)
    eight_times, once = beside(benchmark, large.step, small.step, rounds=20)
    benchmark.extra_info["time_ratio_for_8_times_the_rollouts"] = eight_times / once
    assert eight_times < 8 * 1.5 * once
