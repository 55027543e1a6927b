"""A step's pictures through verl's own classes: agent loop, rollout server, reward worker, queue and actor's reads.

`pytest tests/benchmarks/test_rollout_pictures.py --benchmark-only -s` on an idle machine, two minutes; PROMPTS=128 is
the paper's step, ten minutes. Nothing is generated, judged or trained: processor time is what the prompts cost, in all
processes together.
"""

import asyncio
import os
import time

import prompts_in_verl as verl
import psutil
import pytest
import ray
import tiny
import transfer_queue as tq
from pyarrow import parquet

PROMPTS, N, SIDE = int(os.environ.get("PROMPTS", "8")), 5, int(os.environ.get("SIDE", "1024"))
READS = 3
"""Of each row by the actor in a step: old log-probabilities, the reference's, the update."""

AT_ONCE = 8
"""Prompts in the queue: a whole step's floats, 16 GB in the queue and again where it is read, do not fit here."""

MICRO_BATCH = 4
MAX_PIXELS = 4_000_000


@ray.remote(num_cpus=0)
class Server:
    """Takes what a rollout server is sent, and answers with one token."""

    async def generate(self, prompt_ids, sampling_params, image_data=None, **unused):
        from verl.workers.rollout.replica import TokenOutput

        assert image_data[0].size[0] > 0
        return TokenOutput(token_ids=[20], log_probs=[-0.5], extra_fields={"global_steps": 1})


@ray.remote(num_cpus=0)
class RewardWorker:
    """Takes what a reward worker is sent."""

    async def compute_score(self, data):
        assert len(data) == 1
        return {"reward_score": 0.0, "reward_extra_info": {}}


def client_of(config, server):
    """verl's client of rollout servers, which asks one server without a balancer."""
    from verl.workers.rollout.llm_server import LLMServerClient

    class Client(LLMServerClient):
        async def _acquire_server(self, request_id, **extra):
            return "0", server

        def _release_server(self, server_id, request_id=None):
            pass

    return Client(config)


def read_as_the_actor(keys, extract):
    """The batch once, in micro-batches, by verl's bridge; how many pixel values there were."""
    from verl.utils.transferqueue_utils import _meta_to_realdata

    batch = _meta_to_realdata(tq.KVBatchMeta(keys=keys, tags=[{}] * len(keys), partition_id="train"))
    rows = list(batch["multi_modal_inputs"])
    pictures = [extract(rows[start : start + MICRO_BATCH]) for start in range(0, len(rows), MICRO_BATCH)]
    return sum(picture["pixel_values"].numel() for picture in pictures)


def processor_s():
    """Processor time of this process and all of Ray's."""
    this = psutil.Process()
    times = [process.cpu_times() for process in (this, *this.children(recursive=True))]
    return sum(spent.user + spent.system for spent in times)


class Counted:
    """Bytes that this process sent to the queue and took from it."""

    def __init__(self, monkeypatch):
        from transfer_queue.utils import zmq_utils

        self.bytes = 0
        message = zmq_utils.ZMQMessage
        send, take = message.serialize, message.deserialize.__func__

        def serialize(message):
            frames = send(message)
            self.bytes += sum(memoryview(frame).nbytes for frame in frames)
            return frames

        def deserialize(kind, frames):
            self.bytes += sum(zmq_utils.frame_nbytes(frame) for frame in frames)
            return take(kind, frames)

        monkeypatch.setattr(message, "serialize", serialize)
        monkeypatch.setattr(message, "deserialize", classmethod(deserialize))


@pytest.fixture
def step(tmp_path, monkeypatch):
    """Takes a step; returns processor seconds, bytes through the queue and pixel values read."""
    from easyr1_fgrpo.miniature.build import build

    build(tmp_path / "world", seed=0, train=1, val=1, test=1, sft=1, sft_val=1)
    (row,) = parquet.read_table(tmp_path / "world" / "train.parquet").to_pylist()
    checkpoint = verl.allow_pixels(tiny.save(tmp_path / "tiny"), MAX_PIXELS)
    config = verl.config_of(checkpoint, (3136, MAX_PIXELS), f"actor_rollout_ref.rollout.n={N}")
    ray.init("local", num_cpus=4, include_dashboard=False, log_to_driver=False)
    tq.init({"backend": {"SimpleStorage": {"num_data_storage_units": 1}}})
    worker = verl.worker_of(config, client_of(config, Server.remote()), [RewardWorker.remote()])
    pictures = [[verl.jpeg(SIDE, SIDE, seed)] for seed in range(PROMPTS)]
    dataset = verl.dataset_of(config, tmp_path, worker, row, pictures)
    counted = Counted(monkeypatch)

    def take(number, extract, prompts=PROMPTS):
        counted.bytes, before, read = 0, processor_s(), 0
        for start in range(0, prompts, AT_ONCE):
            batch = verl.batch_of(dataset, range(start, min(start + AT_ONCE, prompts)), step=number)
            asyncio.run(verl.roll_out(worker, batch))
            rows = tq.kv_list("train")["train"]
            keys = [key for key, tag in rows.items() if "seq_len" in tag]
            assert len(keys) == len(batch) * N
            read += sum(read_as_the_actor(keys, extract) for _ in range(READS))
            tq.kv_clear(keys=[*rows], partition_id="train")
        return processor_s() - before, counted.bytes, read

    def process_once():
        """The bound: each picture decoded and put through the processor once; the bytes of its floats, of one row."""
        from qwen_vl_utils import process_vision_info

        before, size = time.process_time(), 0
        for number in range(PROMPTS):
            images, _ = process_vision_info(dataset[number]["raw_prompt"])
            size += worker.processor.image_processor(images=images, return_tensors="pt")["pixel_values"].nbytes
        return time.process_time() - before, size * (1 + READS)

    yield take, process_once
    tq.close()
    ray.shutdown()


def test_a_step_of_pictures(benchmark, row, step):
    from verl.utils.model import extract_multi_modal_inputs as extract

    take, process_once = step
    take(0, extract, prompts=1)
    bound_s, bound_bytes = process_once()
    with verl.as_verl_has_it():
        before_s, before_bytes, expected = take(1, extract.__wrapped__)
    now_s, now_bytes, read = benchmark.pedantic(take, (2, extract), rounds=1, iterations=1)
    assert read == expected
    print(
        f"\n{PROMPTS} prompts of {SIDE} px, {N} rollouts each: {now_s:.1f} s of processor time (verl {before_s:.1f} s, "
        f"one processing a prompt {bound_s:.1f} s), {now_bytes / 1e6:.0f} MB through the queue (verl "
        f"{before_bytes / 1e6:.0f} MB, one row a prompt {bound_bytes / 1e6:.0f} MB)"
    )
    benchmark.extra_info |= {"seconds_of_verls": now_s / before_s, "bytes_of_verls": now_bytes / before_bytes}
    row(
        f"pictures of {PROMPTS} prompts of {SIDE} px with {N} rollouts each: processor time, and through the queue",
        f"{now_s:.0f} s, {now_bytes / 1e6:,.0f} MB",
        before=f"{before_s:.0f} s, {before_bytes / 1e6:,.0f} MB",
        bound=f"{bound_s:.0f} s, {bound_bytes / 1e6:,.0f} MB: a prompt once",
    )
    assert now_bytes < before_bytes / 3
    assert now_s < before_s / 2
