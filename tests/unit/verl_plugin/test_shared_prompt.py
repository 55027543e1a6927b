"""What reaches the actor is bit for bit what verl's own agent loop puts into its queue, made once a prompt."""

import asyncio
import gc

import pytest
import tiny
import torch
from prompts_in_verl import allow_pixels, as_verl_has_it, batch_of, config_of, dataset_of, jpeg, roll_out, worker_of
from pyarrow import parquet
from verl.trainer.ppo.v1 import agent_loop_tq
from verl.utils.model import extract_multi_modal_inputs
from verl.workers.rollout.replica import TokenOutput

from easyr1_fgrpo.verl_plugin.pixel_levels import TABLE
from easyr1_fgrpo.verl_plugin.shared_prompt import SharedPrompt, _prompts, share_prompts, shared

PICTURES = [
    [jpeg(300, 200, 1)],
    [jpeg(90, 140, 2), jpeg(31, 33, 3)],  # several; the second is enlarged
    [],
    [jpeg(900, 700, 4)],  # made smaller
]
BUDGET = (56 * 56, 400 * 400)
N = 3
ALL = range(len(PICTURES))


class Client:
    """Answers with tokens that depend on the rollout, after as long as its number says."""

    def __init__(self):
        self.asked = []

    async def generate(self, request_id, *, prompt_ids, sampling_params, image_data=None, **unused):
        self.asked.append((tuple(prompt_ids), [image.tobytes() for image in image_data or ()]))
        await asyncio.sleep(sampling_params["seed"] % 7 / 1000)
        ids = [20 + sampling_params["seed"] % 20] * (1 + sampling_params["seed"] % 4)
        return TokenOutput(token_ids=ids, log_probs=[-0.5] * len(ids), extra_fields={"global_steps": 1})


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    from easyr1_fgrpo.miniature.build import build

    folder = tmp_path_factory.mktemp("world")
    build(folder, seed=0, train=1, val=1, test=1, sft=1, sft_val=1)
    return folder


@pytest.fixture(scope="module", params=["qwen2_5_vl", "qwen3_vl"])
def checkpoint(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    save = tiny.save if request.param == "qwen2_5_vl" else tiny.save_qwen3_vl
    return allow_pixels(save(folder), BUDGET[1])


@pytest.fixture
def queue(monkeypatch):
    """The rows that agent loops put, by key."""
    rows = {}

    async def put(keys, fields, tags, partition_id):
        for number, key in enumerate(keys):
            rows[key] = (fields[number], tags[number], partition_id)

    async def tag(**unused):
        pass

    monkeypatch.setattr(agent_loop_tq.tq, "init", lambda: None)
    monkeypatch.setattr(agent_loop_tq.tq, "async_kv_put", tag)
    monkeypatch.setattr(agent_loop_tq.tq, "async_kv_batch_put", put)
    return rows


@pytest.fixture
def made(checkpoint, world, queue, tmp_path):
    config = config_of(checkpoint, BUDGET, f"actor_rollout_ref.rollout.n={N}")
    worker = worker_of(config, Client())
    (row,) = parquet.read_table(world / "train.parquet").to_pylist()
    return worker, dataset_of(config, tmp_path, worker, row, PICTURES)


@pytest.fixture
def counted(made, monkeypatch):
    """How often the image processor ran."""
    worker, _ = made
    calls = []
    processor = type(worker.processor.image_processor)
    original = processor.__call__

    def counting(self, images, *args, **more):
        calls.append(len(images))
        return original(self, images, *args, **more)

    monkeypatch.setattr(processor, "__call__", counting)
    return calls


def rows_of(queue):
    rows = dict(sorted(queue.items()))
    queue.clear()
    return rows


def same(ours, theirs):
    if isinstance(ours, torch.Tensor):
        return ours.dtype == theirs.dtype and ours.shape == theirs.shape and bool((ours == theirs).all())
    return ours == theirs


def inputs_of(rows):
    return [getattr(row["multi_modal_inputs"], "data", row["multi_modal_inputs"]) for row, *_ in rows.values()]


@pytest.mark.parametrize("validate", [False, True])
def test_every_row_that_reaches_the_actor_is_verls_own_bit_for_bit(made, queue, counted, validate):
    worker, dataset = made
    n = 1 if validate else N
    asyncio.run(roll_out(worker, batch_of(dataset, ALL, validate=validate)))
    ours, asked, processed = rows_of(queue), sorted(worker.llm_client.asked), list(counted)
    worker.llm_client.asked.clear()
    counted.clear()
    with as_verl_has_it():
        asyncio.run(roll_out(worker, batch_of(dataset, ALL, validate=validate)))
    theirs = rows_of(queue)

    assert sorted(worker.llm_client.asked) == asked
    assert len(ours) == n * len(PICTURES)
    assert sorted(processed) == [1, 1, 2]  # once a prompt with pictures
    assert sorted(counted) == sorted([1, 1, 2] * n * 2)  # a third time where a reward worker scores
    assert ours.keys() == theirs.keys()
    for key, (row, tag, partition) in ours.items():
        expected, expected_tag, expected_partition = theirs[key]
        assert (tag, partition) == (expected_tag, expected_partition)
        assert set(row.keys()) == set(expected.keys())
        for name in set(row.keys()) - {"multi_modal_inputs", "metrics"}:  # metrics are times
            assert same(row[name], expected[name]), name
    floats = extract_multi_modal_inputs.__wrapped__
    for micro_batch in (slice(None), slice(0, 1), slice(2, 5), slice(2 * n, 3 * n)):
        read = extract_multi_modal_inputs(inputs_of(ours)[micro_batch])
        expected = floats(inputs_of(theirs)[micro_batch])
        assert read.keys() == expected.keys()
        assert all(same(read[name], expected[name]) for name in read)


def test_the_queue_carries_a_byte_for_each_pixel_and_channel(made, queue):
    worker, dataset = made
    asyncio.run(roll_out(worker, batch_of(dataset, ALL)))
    for inputs in inputs_of(rows_of(queue)):
        if (grid := inputs.get("image_grid_thw")) is not None:
            patch = worker.processor.image_processor.patch_size
            assert inputs["pixel_values"].nbytes == int(grid.prod(1).sum()) * patch**2 * 3
            assert inputs[TABLE].nbytes < 10_000


def test_what_is_shared_is_gone_with_the_prompts_last_rollout(made, queue):
    """Without the garbage collector, which counts objects, not their megabytes."""
    worker, dataset = made
    seen = []

    async def put(keys, **unused):
        seen.append((len(_prompts), shared().prompt_ids))

    agent_loop_tq.tq.async_kv_batch_put = put  # undone by the fixture
    gc.collect()
    gc.disable()
    try:
        asyncio.run(roll_out(worker, batch_of(dataset, ALL)))
        assert len(_prompts) == 0
    finally:
        gc.enable()
    assert len(seen) == N * len(PICTURES)
    assert max(seen)[0] <= len(PICTURES)
    assert shared() is None


def test_a_failure_is_each_rollouts_own_and_the_next_prompt_is_whole(made, queue, monkeypatch):
    worker, dataset = made
    failed = []

    async def fail(self, messages):
        failed.append(messages)
        raise OSError("unreadable")

    with monkeypatch.context() as broken:
        broken.setattr("verl.experimental.agent_loop.agent_loop.AgentLoopBase.process_multi_modal_info", fail)
        asyncio.run(roll_out(worker, batch_of(dataset, ALL)))
    assert len(failed) == N * len(PICTURES)
    assert queue == {}
    asyncio.run(roll_out(worker, batch_of(dataset, ALL)))
    assert len(queue) == N * len(PICTURES)


async def test_only_rollouts_of_one_prompt_share():
    seen = {}

    class Worker:
        async def _run_agent_loop(self, sampling, *, name, **rollout):
            seen[name] = shared()
            await asyncio.sleep(0)

        _compute_multi_modal_inputs = None

    share_prompts(Worker)
    rollouts = {"a0": {"uid": "a"}, "a1": {"uid": "a"}, "b": {"uid": "b"}, "c": {}, "d": {}}
    await asyncio.gather(
        *(asyncio.create_task(Worker()._run_agent_loop({}, name=name, **row)) for name, row in rollouts.items())
    )
    assert seen["a0"] is seen["a1"]
    assert len({id(prompt) for prompt in seen.values()}) == 4
    assert set(_prompts) == {"a", "b"}  # `seen` holds them


IMAGES, OTHERS = ["a picture"], ["a tool's picture"]


@pytest.mark.parametrize(
    ("media", "processed", "seen", "found"),
    [
        ({"images": IMAGES}, {"pixel_values": 1, "image_grid_thw": 2}, {"images": IMAGES}, True),
        ({}, {"mm_token_type_ids": 1}, {}, True),
        ({}, {}, {}, False),  # a builder that tells nothing of what it processed
        ({"images": IMAGES}, {"mm_token_type_ids": 1}, {"images": IMAGES}, False),
        ({"images": IMAGES}, {"pixel_values": 1}, {"images": OTHERS}, False),
        ({"images": IMAGES}, {"pixel_values": 1}, {"images": [*IMAGES]}, False),
        ({"images": IMAGES}, {"pixel_values": 1}, {"images": IMAGES, "videos": OTHERS}, False),
        ({"images": IMAGES, "videos": OTHERS}, {"pixel_values": 1}, {"images": IMAGES, "videos": OTHERS}, False),
        ({}, {"mm_token_type_ids": 1}, {"images": OTHERS}, False),
    ],
)
def test_only_a_rollout_that_saw_the_same_pictures_takes_what_was_made_of_them(media, processed, seen, found):
    prompt = SharedPrompt()
    prompt.media, prompt.inputs = media, processed
    inputs = prompt.inputs_for(seen)
    assert inputs == (processed if found else None)
    assert inputs is not processed
