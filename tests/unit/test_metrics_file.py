import json
import math

import numpy as np
import torch

from easyr1_fgrpo.metrics_file import MetricsFile, MetricsFollower, read_metrics


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_one_line_a_step_in_a_folder_that_need_not_exist(tmp_path):
    path = tmp_path / "run" / "metrics.jsonl"
    MetricsFile(path).write(1, {"a": 1, "b": np.float32(0.5)})
    MetricsFile(path).write(2, {"a": np.int64(2)})
    assert lines(path) == [{"step": 1, "metrics": {"a": 1.0, "b": 0.5}}, {"step": 2, "metrics": {"a": 2.0}}]
    assert read_metrics(path) == {1: {"a": 1.0, "b": 0.5}, 2: {"a": 2.0}}


def test_what_is_no_finite_number_is_listed_as_missing(tmp_path):
    path = tmp_path / "metrics.jsonl"
    values = {"nan": math.nan, "inf": -math.inf, "none": None, "text": "1", "flag": True, "vector": torch.ones(2)}
    MetricsFile(path).write(1, {**values, "good": 0.0, "np_nan": np.float64("nan")})
    assert lines(path) == [{"step": 1, "metrics": {"good": 0.0}, "missing": sorted([*values, "np_nan"])}]


def test_the_last_line_of_a_step_wins(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for step, value in ((1, 0.0), (2, 0.1), (3, 0.2), (2, 0.5)):
        MetricsFile(path).write(step, {"a": value})
    assert read_metrics(path) == {1: {"a": 0.0}, 2: {"a": 0.5}, 3: {"a": 0.2}}


def test_a_torn_line_costs_only_itself(tmp_path):
    path = tmp_path / "metrics.jsonl"
    MetricsFile(path).write(1, {"a": 1.0})
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2] + b"\xce")  # killed within a line, and within a character
    MetricsFile(path).write(2, {"a": 2.0})
    assert read_metrics(path) == {1: {"a": 1.0}, 2: {"a": 2.0}}


def test_a_line_that_is_no_record_costs_only_itself(tmp_path):
    path = tmp_path / "metrics.jsonl"
    damaged = ("null", "[1]", "{}", '{"step": null, "metrics": {}}', '{"step": 1, "metrics": null}')
    path.write_text("\n".join([*damaged, '{"step": 2, "metrics": {"a": 1.0, "b": null, "c": "x"}}', ""]))
    assert read_metrics(path) == {2: {"a": 1.0}}


def test_a_follower_reads_only_new_whole_lines(tmp_path):
    path = tmp_path / "metrics.jsonl"
    MetricsFile(path).write(1, {"a": 1.0})
    follower = MetricsFollower(path)
    assert follower.new() == []
    MetricsFile(path).write(2, {"a": 2.0})
    MetricsFile(path).write(3, {"a": 3.0})
    assert follower.new() == [(2, {"a": 2.0}), (3, {"a": 3.0})]
    assert follower.new() == []
    line = json.dumps({"step": 4, "metrics": {"a": 4.0}}) + "\n"
    with path.open("a") as file:
        file.write(line[:9])
        file.flush()
        assert follower.new() == []
        file.write(line[9:])
    assert follower.new() == [(4, {"a": 4.0})]


def test_a_follower_waits_for_the_file(tmp_path):
    path = tmp_path / "metrics.jsonl"
    follower = MetricsFollower(path)
    assert follower.new() == []
    MetricsFile(path).write(1, {"a": 1.0})
    assert follower.new() == [(1, {"a": 1.0})]


def test_a_follower_of_a_resumed_run_gets_over_the_torn_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    MetricsFile(path).write(1, {"a": 1.0})
    with path.open("a") as file:
        file.write('{"step": 2, "metrics": {"a": 2.0, "b')
    follower = MetricsFollower(path)
    MetricsFile(path).write(2, {"a": 2.0})  # drops the torn line, so the file is shorter than the follower saw it
    assert follower.new() == [(2, {"a": 2.0})]
