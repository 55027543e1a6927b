"""Speed of the spatial reward and of reading hostile responses."""

import time

import numpy as np

from easyr1_fgrpo.rewards import parse_response, spatial_score, split_sentences


def random_boxes(rng, n):
    corners = rng.uniform(0, 800, (n, 2))
    return [tuple(map(float, row)) for row in np.hstack([corners, corners + rng.uniform(10, 200, (n, 2))])]


def test_spatial_reward_of_640_rollouts(benchmark):
    rng = np.random.default_rng(0)
    rollouts = [(random_boxes(rng, 8), random_boxes(rng, 8)) for _ in range(640)]
    benchmark(lambda: [spatial_score(boxes, reference) for boxes, reference in rollouts])
    assert benchmark.stats["min"] < 0.1  # the fastest round: a shared machine disturbs the others


def test_ten_thousand_predicted_boxes(benchmark):
    response = "<think>" + "<bbox>[1,2,30,40]</bbox>. " * 10_000 + "</think><answer>left</answer>"
    reference = random_boxes(np.random.default_rng(0), 8)

    def score():
        parsed = parse_response(response)
        split_sentences(parsed.trace)
        return spatial_score(parsed.boxes, reference, parsed.n_boxes)

    benchmark(score)
    assert benchmark.stats["min"] < 0.5


def test_parsing_is_linear(benchmark):
    def cpu_seconds(n):
        text = "<think><answer><bbox>[" * n
        return min(_cpu_seconds(lambda: parse_response(text)) for _ in range(7))

    ratio = benchmark.pedantic(lambda: cpu_seconds(20_000) / cpu_seconds(5_000), rounds=1)
    assert ratio < 4 * 1.5


def _cpu_seconds(call):
    start = time.process_time()
    call()
    return time.process_time() - start
