"""Speed of the difficulty filter: two workers beside one, against an endpoint with latency in another process."""

import json
import sys
import threading
import time
from pathlib import Path
from urllib.request import urlopen

from judge_endpoint import judge_process

from data_prep.difficulty.cluster import ray_cluster
from data_prep.difficulty.pipeline import rollout_texts
from data_prep.difficulty.rollout_engines import BLOCK_ROWS, Endpoint
from data_prep.difficulty.rollouts import Sampling, row_key
from data_prep.shards import read_rows

sys.path.append(str(Path(__file__).parents[1] / "unit/data_prep"))
from made_rows import made_folder, made_row

BLOCKS = 14
CONCURRENCY = 8
LATENCY_S = 0.2
WARM_UP = 128
"""Calls after which the clock starts: the start of Ray and its workers is not the filter's."""


def calls_at(url):
    with urlopen(f"{url.removesuffix('/v1')}/counts") as reply:
        return sum(json.load(reply).values())


def calls_per_s(folder, workers):
    """Calls a second of the whole pipeline, once it runs."""
    sampling = Sampling("m")
    keys = [row_key("sat", row["extra_info"]) for row in read_rows(folder, ["extra_info"])]
    pending = {key: list(range(sampling.rollouts)) for key in keys}
    with judge_process("--delay", str(LATENCY_S), "--shares", '{"text": 1.0}') as (url, _):
        started = []

        def wait_for_start():
            while (calls := calls_at(url)) < WARM_UP:
                time.sleep(0.05)
            started.append((calls, time.monotonic()))

        watch = threading.Thread(target=wait_for_start, daemon=True)
        watch.start()
        texts = [
            text
            for block in rollout_texts({"sat": folder}, pending, Endpoint([url], CONCURRENCY, workers), sampling)
            for text in block
        ]
        ended = time.monotonic()
        watch.join(5)
    assert len(texts) == len(keys) * sampling.rollouts
    assert not any(text["failure"] for text in texts)
    (before, start) = started[0]
    return (len(texts) - before) / (ended - start)


def test_two_workers_are_nearly_twice_as_fast_as_one(benchmark, tmp_path):
    folder = made_folder(tmp_path / "sat", [made_row(i) for i in range(BLOCKS * BLOCK_ROWS)])
    rates = {}
    with ray_cluster():
        rates[1] = calls_per_s(folder, 1)
        benchmark.pedantic(lambda: rates.update({2: calls_per_s(folder, 2)}), rounds=1)
    benchmark.extra_info |= {f"calls_per_s_of_{workers}": rate for workers, rate in rates.items()}
    assert rates[1] >= 0.7 * CONCURRENCY / LATENCY_S
    assert rates[2] >= 1.7 * rates[1]
