from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easyr1_fgrpo.report.evaluation_files import Evaluation
from easyr1_fgrpo.report.front import HELD_OUT_FRONT, TRAINING, VALIDATION, WINDOWS, fronts
from easyr1_fgrpo.report.run_files import Run, Series, read_run
from easyr1_fgrpo.statistics import Estimate

ACCURACY, CONSISTENCY = "fgrpo/signals/accuracy/mean", "fgrpo/signals/consistency/mean"
SCORED, JUDGED = "fgrpo/rollouts/scored", "fgrpo/signals/consistency/applicable"


def run_of(metrics, evaluations=()):
    series = {key: Series(tuple(values), tuple(map(float, values.values()))) for key, values in metrics.items()}
    return Run(Path("r"), "r", None, None, {}, None, 8, False, series, tuple(evaluations), (), ())


def measured(label, accuracy, inconsistency, mode="sampled", benchmark="held-out"):
    numbers = {
        name: Estimate(value=value, low=None, high=None, n=4)
        for name, value in {"accuracy": accuracy, "inconsistency": inconsistency}.items()
    }
    return Evaluation(label, benchmark, mode, numbers, Path("e"))


def path(points):
    return [(point.step, point.accuracy.value, point.inconsistency.value) for point in points]


def test_validation_is_over_all_judged_rollouts():
    run = run_of(
        {
            "fgrpo/val/accuracy/mean": {0: 0.5, 4: 0.75, 8: 1.0},
            "fgrpo/val/consistency/mean": {0: 0.75, 8: 0.25},
            "fgrpo/val/consistency/measured": {0: 12, 8: 10},
            "fgrpo/val/accuracy/measured": {0: 12, 8: 12},
        }
    )
    points = fronts(run)[VALIDATION]
    assert path(points) == [(0, 0.5, 0.25), (8, 1.0, 0.75)]  # step 4 has no consistency
    assert [(point.accuracy.n, point.inconsistency.n) for point in points] == [(12, 12), (12, 10)]


def test_a_window_pools_rollouts_and_not_steps():
    steps = range(1, 2 * WINDOWS + 1)
    run = run_of(
        {
            ACCURACY: dict.fromkeys(steps, 0.5) | {1: 1.0, 2: 0.0},
            SCORED: dict.fromkeys(steps, 10) | {1: 30, 2: 10},
            CONSISTENCY: dict.fromkeys(steps, 1.0) | {1: 0.5, 2: 0.0},
            JUDGED: dict.fromkeys(steps, 5) | {1: 6, 2: 2},
        }
    )
    points = fronts(run)[TRAINING]
    assert len(points) == WINDOWS
    # accuracy (30 x 1 + 10 x 0) / 40; consistent 3 + 0 of 8
    assert path(points[:1]) == [(2, 0.75, 0.625)]
    assert (points[0].accuracy.n, points[0].inconsistency.n) == (40, 8)
    assert path(points[1:2]) == [(4, 0.5, 0.0)]


def test_a_step_without_a_correct_rollout_still_counts_for_accuracy():
    run = run_of({ACCURACY: {1: 0.0, 2: 1.0, 3: 1.0}, SCORED: {1: 4, 2: 4, 3: 4}, CONSISTENCY: {2: 1.0, 3: 0.5},
                  JUDGED: {1: 0, 2: 4, 3: 4}})  # fmt: skip
    assert path(fronts(run)[TRAINING]) == [(2, 1.0, 0.0), (3, 1.0, 0.5)]


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(1, 8)), min_size=2, max_size=40))
def test_pooling_is_a_count_over_rollouts(steps):
    accuracy = {n: min(right, total) / total for n, (right, total) in enumerate(steps)}
    scored = {n: total for n, (_, total) in enumerate(steps)}
    run = run_of({ACCURACY: accuracy, SCORED: scored, CONSISTENCY: accuracy, JUDGED: scored})
    points = fronts(run)[TRAINING]
    right = sum(min(right, total) for right, total in steps)
    assert sum(point.accuracy.value * point.accuracy.n for point in points) == pytest.approx(right)
    assert [point.accuracy.value for point in points] == pytest.approx(
        [1 - point.inconsistency.value for point in points]
    )
    assert points[-1].step == len(steps) - 1


def test_held_out_goes_from_before_to_after():
    evaluations = [
        measured("after_RL", 0.9, 0.1), measured("before_RL", 0.6, 0.2), measured("before_RL", 0.7, 0.3, mode="greedy"),
        measured("after_RL", 0.1, 0.1, benchmark="mmvp"), measured("other", 0.2, 0.2),
    ]  # fmt: skip
    assert path(fronts(run_of({}, evaluations))[HELD_OUT_FRONT]) == [(0, 0.6, 0.2), (8, 0.9, 0.1)]


def test_one_point_is_no_path():
    assert fronts(run_of({}, [measured("after_RL", 0.9, 0.1), measured("before_RL", 0.6, None)])) == {}
    assert fronts(run_of({ACCURACY: {1: 0.5}, SCORED: {1: 4}, CONSISTENCY: {1: 0.5}, JUDGED: {1: 2}})) == {}
    assert fronts(run_of({ACCURACY: {1: 0.5, 2: 0.5}, SCORED: {1: 0, 2: 0}})) == {}


def test_a_written_run_has_every_source(made):
    assert list(fronts(read_run(made / "fgrpo-s0"))) == [VALIDATION, TRAINING, HELD_OUT_FRONT]
