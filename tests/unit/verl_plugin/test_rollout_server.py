import asyncio
import threading
from types import SimpleNamespace

import pytest
import torch

from easyr1_fgrpo.generation.generator import Completion
from easyr1_fgrpo.verl_plugin.cpu import rollout
from easyr1_fgrpo.verl_plugin.cpu.rollout import CpuReplica, CpuRolloutServer, CpuServerAdapter

NEVER = 60.0
SOON = 0.05


class FakeGenerator:
    """Answers a prompt with its seed; notes the seeds of every batch.

    `hold` keeps a batch from finishing until it is set; a seed in `fails` spoils its batch.
    """

    def __init__(self, path, *, rows, prompt_length, trust_remote_code):
        self.made_with = (path, rows, prompt_length, trust_remote_code)
        self.batches = []
        self.fails = set()
        self.hold = threading.Event()
        self.hold.set()
        self.weights = {}

    def complete(self, prompts):
        seeds = [prompt.sampling.seed for prompt in prompts]
        self.batches.append(seeds)
        assert self.hold.wait(10)
        if self.fails & set(seeds):
            raise ValueError("a prompt has 99 tokens")
        return [Completion([seed], [-0.5], "completed") for seed in seeds]

    def load_weights(self, weights):
        self.weights = dict(weights)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr("verl.utils.fs.copy_to_local", lambda path: f"local/{path}")
    monkeypatch.setattr("easyr1_fgrpo.generation.generator.Generator", FakeGenerator)
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    config = SimpleNamespace(max_num_seqs=4, prompt_length=8, response_length=6, seed=1)
    server = CpuRolloutServer(config, SimpleNamespace(path="model", get=lambda key, default: default), 0)
    assert server.generator.made_with == ("local/model", 4, 8, False)
    return server


@pytest.fixture
def quiet(monkeypatch):
    """Sets how long no request may come before a batch starts."""
    return lambda seconds: monkeypatch.setattr(rollout, "QUIET_SECONDS", seconds)


def ask(server, seed, **params):
    return asyncio.create_task(server.generate(f"r{seed}", [1, 2], {"temperature": 1.0, "seed": seed, **params}))


async def answers(tasks):
    outputs = await asyncio.wait_for(asyncio.gather(*tasks), 10)
    return [output.token_ids[0] for output in outputs]


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


async def test_a_batch_starts_when_the_announced_number_is_there(server, quiet):
    quiet(NEVER)
    early = [ask(server, seed, expected=4) for seed in (30, 10, 20)]
    await asyncio.sleep(SOON)
    assert server.generator.batches == []
    assert await answers([*early, ask(server, 5, expected=4)]) == [30, 10, 20, 5]
    assert server.generator.batches == [[5, 10, 20, 30]]  # sorted by seed, however they came


async def test_a_quiet_moment_ends_the_wait_for_requests_that_never_come(server, quiet):
    quiet(SOON)
    assert await answers([ask(server, seed, expected=4) for seed in (2, 1)]) == [2, 1]
    assert server.generator.batches == [[1, 2]]


async def test_unannounced_requests_are_gathered_until_a_quiet_moment(server, quiet):
    quiet(SOON)
    assert await answers([ask(server, seed) for seed in (3, 1, 2)]) == [3, 1, 2]
    assert server.generator.batches == [[1, 2, 3]]


async def test_requests_that_come_during_a_batch_are_served_next(server, quiet):
    quiet(SOON)
    server.generator.hold.clear()
    first = ask(server, 1, expected=1)
    await until(lambda: server.generator.batches)
    later = [ask(server, seed, expected=2) for seed in (9, 8)]
    await asyncio.sleep(SOON)
    assert server.generator.batches == [[1]]
    server.generator.hold.set()
    assert await answers([first, *later]) == [1, 9, 8]
    assert server.generator.batches == [[1], [8, 9]]


async def test_a_failure_reaches_every_caller_and_the_server_goes_on(server, quiet):
    quiet(NEVER)
    server.generator.fails = {2}
    tasks = [ask(server, seed, expected=3) for seed in (1, 2, 3)]
    outcomes = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
    assert [str(outcome) for outcome in outcomes] == ["a prompt has 99 tokens"] * 3
    assert all(isinstance(outcome, ValueError) for outcome in outcomes)
    assert await answers([ask(server, 4, expected=1)]) == [4]
    assert server.generator.batches == [[1, 2, 3], [4]]


@pytest.mark.parametrize("failing", [False, True])
async def test_a_caller_that_gives_up_costs_the_others_nothing(server, quiet, failing):
    quiet(NEVER)
    server.generator.fails = {2} if failing else set()
    server.generator.hold.clear()
    tasks = [ask(server, seed, expected=3) for seed in (1, 2, 3)]
    await until(lambda: server.generator.batches)
    tasks[0].cancel()
    await asyncio.sleep(0)
    server.generator.hold.set()
    outcomes = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
    assert isinstance(outcomes[0], asyncio.CancelledError)
    if failing:
        assert [str(outcome) for outcome in outcomes[1:]] == ["a prompt has 99 tokens"] * 2
    else:
        assert [outcome.token_ids for outcome in outcomes[1:]] == [[2], [3]]


async def test_what_verl_gets_back_and_what_the_generator_is_asked(server, quiet, monkeypatch):
    quiet(NEVER)
    seen = []
    complete = server.generator.complete
    monkeypatch.setattr(server.generator, "complete", lambda prompts: (seen.extend(prompts), complete(prompts))[1])
    await server.update_weights({"w": torch.ones(2)}, global_steps=12)
    assert torch.equal(server.generator.weights["w"], torch.ones(2))
    output = await ask(server, 7, expected=1, max_tokens=3)
    assert (output.token_ids, output.log_probs, output.stop_reason) == ([7], [-0.5], "completed")
    assert output.extra_fields == {"global_steps": 12}
    await ask(server, 8, expected=1)
    assert [prompt.max_new_tokens for prompt in seen] == [3, 6]  # asked for, and the configured response length
    assert seen[0].ids == (1, 2)


async def test_videos_are_refused(server):
    with pytest.raises(ValueError, match="images only"):
        await server.generate("r", [1], {"temperature": 0.0}, video_data=["a video"])
    assert server.waiting == []


async def test_a_sampled_request_without_a_seed_is_refused_and_leaves_no_trace(server):
    with pytest.raises(ValueError, match="seed"):
        await server.generate("r", [1], {"temperature": 1.0})
    assert server.waiting == []


async def test_weights_go_to_the_server_of_the_replica(monkeypatch):
    sent = []

    class Actor:
        class update_weights:  # noqa: N801 an actor's method is an object with `remote`
            @staticmethod
            async def remote(weights, step):
                sent.append((weights, step))

    monkeypatch.setattr(rollout.ray, "get_actor", {"fgrpo_cpu_server_3_0": Actor}.get)
    adapter = object.__new__(CpuServerAdapter)
    adapter.rank, adapter.server = 3, None
    weight = torch.ones(2, requires_grad=True)
    await adapter.update_weights(iter([("w", weight)]), global_steps=5)
    weight.data.zero_()  # the optimizer goes on while the weights are on their way
    assert torch.equal(sent[0][0]["w"], torch.ones(2))
    assert sent[0][1] == 5
    with pytest.raises(ValueError, match="wire_format=named_tensors, got 'zip'"):
        await adapter.update_weights(iter([]), wire_format="zip")


async def test_parallel_replicas_are_refused():
    replica = object.__new__(CpuReplica)
    replica.world_size = 2
    with pytest.raises(ValueError, match="tensor_model_parallel_size=1"):
        await replica.launch_servers()
