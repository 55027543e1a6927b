"""The closed loops' plant, measures and fit; the comparison itself is `python tests/benchmarks/closed_loops.py`."""

import json

import closed_loops
import numpy as np
import pytest
from closed_loop_plant import CAP, Plant, fitted
from closed_loops import CONTROLLERS, SCENARIOS, Scenario, main, measures, run

from easyr1_fgrpo.metrics_file import read_metrics

QUIET = Plant(noise=0.0)


def test_the_needed_multiplier_holds_the_threshold_and_no_smaller_one_does():
    # .55 + .5 share = .8 needs share .5, lambda 1; .7: share .3, lambda 3/7
    assert QUIET.needed(0.8) == pytest.approx(1.0)
    assert QUIET.needed(0.7) == pytest.approx(3 / 7)
    assert (QUIET.needed(0.5), QUIET.needed(0.99)) == (0.0, CAP)
    assert QUIET.target(QUIET.needed(0.9)) == pytest.approx(0.9)


def test_measures_golden():
    # threshold .8 from lambda 5, ten steps; then .9: violated by .1, .05, and from then on met with .02 to spare
    scenario = Scenario("x", ((0.8, 10), (0.9, 12)), rise=1, fall=0)
    scores = np.array([0.8] * 10 + [0.8, 0.85] + [0.92] * 10)[:, None]
    weights = np.array([5.0] * 4 + [1.0] * 6 + [7 / 3] * 12)[:, None]
    found = {name: float(value[0]) for name, value in measures(scores, weights, scenario, QUIET).items()}
    assert found == pytest.approx(
        {"feasible after": 2, "overshoot": 0.02, "violation area": 0.15, "excess area": 16, "let go after": 4}
    )


def test_the_loops_are_repeatable_and_the_controllers_end_where_the_threshold_is_held():
    long = Scenario("long", ((0.8, 1200),))
    for name in ("dual ascent, lr .5", "PID, lr .5", "nuPI, lr .5", "multiplicative, lr .5"):
        scores, weights = run(CONTROLLERS[name], long, QUIET, seeds=2)
        assert scores[-1] == pytest.approx([0.8, 0.8], abs=1e-3)
        assert weights[-1] == pytest.approx([1.0, 1.0], abs=1e-2)
    noisy = [run(CONTROLLERS["PID, lr .5"], SCENARIOS[4], Plant(), seeds=3)[0] for _ in range(2)]
    assert (noisy[0] == noisy[1]).all()
    assert noisy[0][-1, 0] != noisy[0][-1, 1]


def recorded(path, start, plant):
    """A run's metrics.jsonl, as the plant would have written it."""
    random = np.random.default_rng(1)
    scores, weights = run(
        CONTROLLERS["dual ascent, lr .5"], Scenario("r", ((0.9, 150), (0.7, 150)), start=start), plant, 1
    )
    with path.open("w") as file:
        for step, (score, multiplier) in enumerate(zip(scores[:, 0], weights[:, 0], strict=True)):
            share = plant.weight * multiplier / (1 + plant.weight * multiplier)
            noisy = score + random.standard_normal() * plant.noise / np.sqrt(100)
            values = {"score": noisy, "applicable": 100.0, "share": share, "multiplier": multiplier}
            metrics = {f"fgrpo/consistency/{name}": float(value) for name, value in values.items()}
            file.write(json.dumps({"step": step, "metrics": metrics}) + "\n")
    return path


def test_the_fit_finds_the_plant_of_a_recorded_run(tmp_path):
    plant = Plant(floor=0.5, gain=0.6, rate=0.1, delay=1, weight=0.8, noise=0.2)
    found, _ = fitted(read_metrics(recorded(tmp_path / "metrics.jsonl", 0.1, plant)), "consistency")
    assert found.weight == pytest.approx(0.8)
    assert (found.floor, found.gain) == pytest.approx((0.5, 0.6), abs=0.05)
    assert (found.rate, found.noise) == pytest.approx((0.1, 0.2), abs=0.04)


def test_a_run_that_shows_no_answer_is_refused_with_3(tmp_path, capsys):
    flat = Plant(floor=0.9, gain=0.0, noise=0.3)
    path = recorded(tmp_path / "metrics.jsonl", 1.0, flat)
    assert main(["--metrics", str(path), "--out", str(tmp_path / "out")]) == 3
    assert "this run does not show how the score answers" in capsys.readouterr().err
    assert main(["--metrics", str(path), "--constraint", "other"]) == 3
    assert "0 steps have a score, a share and a multiplier of other, 30 needed" in capsys.readouterr().err
    assert main(["--metrics", str(tmp_path / "none.jsonl")]) == 1
    assert not (tmp_path / "out").exists()


def test_table_and_figure_are_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(closed_loops, "SCENARIOS", tuple(SCENARIOS[k] for k in (2, 3)))
    assert main(["--seeds", "2", "--out", str(tmp_path)]) == 0
    text = (tmp_path / "closed_loops.md").read_text()
    assert text.count("\n| ") == 2 * (len(CONTROLLERS) + 1)
    assert text in capsys.readouterr().out
    assert (tmp_path / "closed_loops.png").stat().st_size > 10_000
