import json
import logging

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from easyr1_fgrpo.algorithm import Constraint, DualAscent, FixedMultipliers, MultiplierController

CONSISTENCY = Constraint("consistency", 0.95)


def scored(*scores, applicable=None):
    applicable = len(scores) if applicable is None else applicable
    return torch.tensor(scores, dtype=torch.float64), torch.arange(len(scores)) < applicable


def dual(*constraints, lr=0.05, max_multiplier=5.0, min_applicable=1, **options):
    return DualAscent(
        constraints or [CONSISTENCY], lr=lr, max_multiplier=max_multiplier, min_applicable=min_applicable, **options
    )


def test_eq_4_golden():
    # s = (1 + 1 + 0 + 0) / 4 = .5; violation .95 - .5 = .45; lambda = 1 + .05 * .45 = 1.0225
    controller = dual()
    record = controller.step({"consistency": scored(1.0, 1.0, 0.0, 0.0)})["consistency"]
    assert (record.score, record.count, record.threshold) == (0.5, 4, 0.95)
    assert record.violation == pytest.approx(0.45)
    assert record.multiplier == pytest.approx(1.0225)
    assert (record.updated, record.held, record.saturated) == (True, "", False)
    assert controller.multipliers == {"consistency": record.multiplier}


def test_a_satisfied_constraint_grows_lighter_down_to_zero():
    # violation .2 - 1 = -.8; .03 + .05 * -.8 = -.01, clipped to 0
    controller = dual(Constraint("consistency", 0.2, initial_multiplier=0.03))
    assert controller.step({"consistency": scored(1.0)})["consistency"].multiplier == 0.0


def test_the_cap_holds():
    # 4.99 + .05 * .95 = 5.0375, clipped to 5
    controller = dual(Constraint("consistency", 0.95, initial_multiplier=4.99))
    assert controller.step({"consistency": scored(0.0)})["consistency"].multiplier == 5.0


def test_too_few_applicable_rollouts_hold_the_multiplier():
    for applicable, updated in [(0, False), (7, False), (8, True)]:
        controller = dual(min_applicable=8)
        record = controller.step({"consistency": scored(*[0.0] * 10, applicable=applicable)})["consistency"]
        assert (record.updated, record.multiplier != 1.0) == (updated, updated), applicable
        assert record.held == ("" if updated else f"{applicable} applicable rollouts, 8 needed"), applicable
        assert (record.score is None) == (applicable == 0), applicable


def test_a_held_constraint_is_measured_and_stays():
    controller = dual(Constraint("consistency", 0.5), Constraint("spatial_grounding", 0.5))
    scores = {"spatial_grounding": scored(0.0), "consistency": scored(0.0)}
    records = controller.step(scores, hold={"consistency": "its judge is away"})
    assert records["consistency"].held == "its judge is away"
    assert (records["consistency"].score, records["consistency"].multiplier) == (0.0, 1.0)
    assert controller.multipliers == pytest.approx({"consistency": 1.0, "spatial_grounding": 1.025})


def test_constraints_move_apart():
    controller = dual(Constraint("consistency", 0.5), Constraint("spatial_grounding", 0.5, initial_multiplier=2.0))
    controller.step({"spatial_grounding": scored(1.0), "consistency": scored(0.0)})
    assert controller.multipliers == pytest.approx({"consistency": 1.025, "spatial_grounding": 1.975})


def test_multipliers_are_a_copy():
    for controller in (dual(), FixedMultipliers([CONSISTENCY])):
        controller.multipliers["consistency"] = 99.0
        assert controller.multipliers == {"consistency": 1.0}


def test_fixed_multipliers_measure_but_stay():
    controller: MultiplierController = FixedMultipliers([CONSISTENCY])
    record = controller.step({"consistency": scored(0.5, 0.0)})["consistency"]
    assert (record.score, record.count, record.multiplier) == (0.25, 2, 1.0)
    assert (record.updated, record.held, record.saturated) == (False, "multipliers are fixed", False)


def test_saturation_is_warned_about_once_per_stay(caplog):
    controller = dual(Constraint("consistency", 0.95, initial_multiplier=5.0), saturation_patience=3)

    def saturated(score, applicable=None):
        return controller.step({"consistency": scored(score, applicable=applicable)})["consistency"].saturated

    with caplog.at_level(logging.WARNING):
        assert [saturated(0.0) for _ in range(2)] == [False, False]
        assert not saturated(0.0, applicable=0)  # a held step is no update: it neither counts nor interrupts
        assert not caplog.records
        assert [saturated(0.0) for _ in range(5)] == [True] * 5
        assert len(caplog.records) == 1
        assert "consistency has been at its cap 5 for 3 updates" in caplog.text
        assert "not reachable" in caplog.text
        assert not saturated(1.0)
        # down to 4.9975, so the next violation is at the cap again at once
        assert [saturated(0.0) for _ in range(3)] == [False, False, True]
        assert len(caplog.records) == 2


def test_the_cap_without_violation_is_no_saturation():
    # s = tau: violation 0, lambda stays at its cap and is right there
    controller = dual(Constraint("consistency", 0.5, initial_multiplier=5.0), saturation_patience=1)
    record = controller.step({"consistency": scored(1.0, 0.0)})["consistency"]
    assert (record.multiplier, record.saturated) == (5.0, False)


scores_of_a_run = st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=4), min_size=2, max_size=12)


@given(scores_of_a_run, st.data())
def test_a_resumed_run_equals_the_uninterrupted_one(run, data):
    saved_after = data.draw(st.integers(0, len(run) - 1))
    straight, stopped = (dual(lr=0.7, max_multiplier=1.5, saturation_patience=2) for _ in range(2))
    for scores in run[:saved_after]:
        straight.step({"consistency": scored(*scores)})
        stopped.step({"consistency": scored(*scores)})
    resumed = dual(lr=0.7, max_multiplier=1.5, saturation_patience=2)
    resumed.step({"consistency": scored(0.0)})  # whatever happened before loading is forgotten
    resumed.load_state_dict(json.loads(json.dumps(stopped.state_dict())))
    assert resumed.state_dict() == stopped.state_dict()
    for scores in run[saved_after:]:
        assert resumed.step({"consistency": scored(*scores)}) == straight.step({"consistency": scored(*scores)})
    assert resumed.state_dict() == straight.state_dict()


def test_saved_states_are_bit_for_bit_those_of_the_first_release():
    # Written by version 0.1.0 on the same batches: a checkpoint of then is read, and continued, to the last digit.
    constraints = [Constraint("a", 0.95, 1.0), Constraint("b", 0.65, 0.03), Constraint("c", 0.9, 1.19)]
    ascent = DualAscent(constraints, lr=0.07, max_multiplier=1.2, min_applicable=2, saturation_patience=3)
    fixed = FixedMultipliers(constraints)
    for step in range(7):
        a = torch.tensor([1 / 3, 0.1 * step]), torch.tensor([True, step != 3])
        b, c = ((torch.tensor(scores), torch.tensor([True, True])) for scores in ([0.9, 1 / 7], [0.1, 0.2]))
        for controller in (ascent, fixed):
            controller.step({"a": a, "b": b, "c": c}, hold={"b": "its judge is away"} if step == 5 else {})
    assert json.dumps(ascent.state_dict()) == (
        '{"controller": "dual_ascent", "multipliers": {"a": 1.2, "b": 0.08400000366568566, "c": 1.2}, '
        '"updates_at_cap": {"a": 2, "b": 0, "c": 7}}'
    )
    assert json.dumps(fixed.state_dict()) == (
        '{"controller": "fixed", "multipliers": {"a": 1.0, "b": 0.03, "c": 1.19}}'
    )


def test_a_saved_state_is_a_snapshot():
    controller = dual()
    state = controller.state_dict()
    controller.step({"consistency": scored(0.0)})
    assert state["multipliers"] == {"consistency": 1.0}


def test_fixed_multipliers_resume():
    controller = FixedMultipliers([CONSISTENCY])
    saved = json.loads(json.dumps(FixedMultipliers([Constraint("consistency", 0.9, 0.3)]).state_dict()))
    controller.load_state_dict(saved)
    assert controller.multipliers == {"consistency": 0.3}


def test_thresholds_and_options_may_change_between_save_and_load():
    saved = dual(Constraint("consistency", 0.95, initial_multiplier=4.0)).state_dict()
    resumed = dual(Constraint("consistency", 0.2), lr=1.0, max_multiplier=3.0)
    resumed.load_state_dict(saved)
    assert resumed.multipliers == {"consistency": 4.0}
    # 4 + 1 * (.2 - 0) = 4.2, and the lowered cap brings it to 3
    assert resumed.step({"consistency": scored(0.0)})["consistency"].multiplier == 3.0


def test_a_foreign_state_is_refused_whole(subtests):
    for change, message in [
        ({"multipliers": {"other": 1.0}}, r"constraints \['other'\], this run has \['consistency'\]"),
        ({"multipliers": {"consistency": 1.0, "other": 1.0}}, "start a new run"),
        ({"updates_at_cap": {}}, r"updates_at_cap are of the constraints \[\]"),
        ({"multipliers": {"consistency": float("nan")}}, "saved multiplier of consistency .* got nan"),
        ({"multipliers": {"consistency": -1.0}}, "got -1.0"),
        ({"controller": "fixed"}, "controller 'fixed', this one is 'dual_ascent'"),
    ]:
        with subtests.test(change=change):
            controller = dual(Constraint("consistency", 0.95, initial_multiplier=2.0))
            before = controller.state_dict()
            other = {
                "controller": "dual_ascent",
                "multipliers": {"consistency": 3.0},
                "updates_at_cap": {"consistency": 9},
            }
            with pytest.raises(ValueError, match=message):
                controller.load_state_dict({**other, **change})
            assert controller.state_dict() == before


def test_fixed_multipliers_refuse_a_dual_state():
    with pytest.raises(ValueError, match="controller 'dual_ascent', this one is 'fixed'"):
        FixedMultipliers([CONSISTENCY]).load_state_dict(dual().state_dict())


def test_a_bad_batch_moves_nothing():
    controller = dual(CONSISTENCY, Constraint("spatial_grounding", 0.65))
    with pytest.raises(ValueError, match="nan"):
        controller.step({"consistency": scored(0.0), "spatial_grounding": scored(float("nan"))})
    assert controller.multipliers == {"consistency": 1.0, "spatial_grounding": 1.0}


def test_scores_are_given_for_exactly_the_constraints(subtests):
    for controller in [dual(), FixedMultipliers([CONSISTENCY])]:
        with (
            subtests.test(controller=controller),
            pytest.raises(ValueError, match=r"exactly the constraints \['consistency'\], got \['other'\]"),
        ):
            controller.step({"other": scored(1.0)})


def test_options_are_bounded(subtests):
    for options, message in [
        ({"lr": 0.0}, "lr must be finite and above 0, got 0.0"),
        ({"lr": float("nan")}, "lr .* got nan"),
        ({"max_multiplier": float("inf")}, "max_multiplier .* got inf"),
        ({"max_multiplier": 0.5}, "initial multiplier of consistency is 1.0, above max_multiplier=0.5"),
        ({"min_applicable": 0}, "min_applicable must be at least 1, got 0"),
        ({"saturation_patience": 0}, "saturation_patience must be at least 1, got 0"),
    ]:
        with subtests.test(options=options), pytest.raises(ValueError, match=message):
            dual(**options)


def test_a_constraint_is_given_once(subtests):
    for build in [dual, lambda *constraints: FixedMultipliers(constraints)]:
        with (
            subtests.test(build=build),
            pytest.raises(ValueError, match=r"given once, got \['consistency', 'consistency'\]"),
        ):
            build(CONSISTENCY, Constraint("consistency", 0.5))


def test_no_constraint_is_fine():
    controller = DualAscent([], lr=0.05, max_multiplier=5.0, min_applicable=8)
    assert (controller.step({}), controller.multipliers) == ({}, {})


def test_reaches_the_saddle_point_of_a_convex_problem():
    # minimise (x - .1)^2 / 2 + (y - .5)^2 / 2  subject to  x >= .6 and y >= .2
    # Stationarity: x - .1 = lambda_x, y - .5 = lambda_y; the first constraint is active, the second is not:
    # x* = .6, lambda_x* = .5; y* = .5, lambda_y* = 0.
    controller = dual(Constraint("x", 0.6), Constraint("y", 0.2))
    x = y = 0.0
    for _ in range(2000):
        weight = controller.multipliers
        x -= 0.1 * ((x - 0.1) - weight["x"])
        y -= 0.1 * ((y - 0.5) - weight["y"])
        records = controller.step({"x": scored(x, x), "y": scored(y, y)})
    assert (x, y) == pytest.approx((0.6, 0.5), abs=1e-6)
    assert controller.multipliers == pytest.approx({"x": 0.5, "y": 0.0}, abs=1e-6)
    assert records["x"].violation == pytest.approx(0.0, abs=1e-6)


def test_an_unreachable_threshold_saturates():
    # minimise x^2 / 2 subject to x >= 1 with lambda capped at .3: x stops at .3, and that is said
    controller = dual(Constraint("x", 1.0, initial_multiplier=0.0), max_multiplier=0.3)
    x = 0.0
    for _ in range(300):
        x -= 0.1 * (x - controller.multipliers["x"])
        record = controller.step({"x": scored(x)})["x"]
    assert x == pytest.approx(0.3, abs=1e-3)
    assert record.saturated
