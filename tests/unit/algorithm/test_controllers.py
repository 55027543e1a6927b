"""PID, nuPI and multiplicative updates: golden values, what they reduce to, and what all controllers share."""

import json
import logging
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from easyr1_fgrpo.algorithm import PID, Constraint, DualAscent, Multiplicative, NuPI

CAP = 1.5
BUILD = {
    "dual_ascent": lambda *c, **o: DualAscent(c, **{**COMMON, **o}),
    "pid": lambda *c, **o: PID(c, **{**COMMON, "kp": 0.4, "kd": 2.0, "smoothing": 0.6, **o}),
    "nupi": lambda *c, **o: NuPI(c, **{**COMMON, "kp": 0.8, "smoothing": 0.3, **o}),
    "multiplicative": lambda *c, **o: Multiplicative(c, **{**COMMON, "floor": 0.02, **o}),
}
COMMON = {"lr": 0.7, "max_multiplier": CAP, "min_applicable": 2, "saturation_patience": 3}
every_controller = pytest.mark.parametrize("name", BUILD)


def scored(value, count=2):
    return {"x": (torch.full((2,), value, dtype=torch.float64), torch.arange(2) < count)}


def test_pid_golden():
    # tau .8, lr .5, kp .4, kd 2, smoothing .6, from .1. Scores .3, .5, .1: e = .5, .3, .7
    # m = .5; .6 * .5 + .4 * .3 = .42; .6 * .42 + .4 * .7 = .532
    # I = .1 + .25 = .35; .5; .85.  D: first 0; falls: 0; 2 * .112 = .224
    controller = BUILD["pid"](Constraint("x", 0.8, 0.1), lr=0.5)
    records = [controller.step(scored(score))["x"] for score in (0.3, 0.5, 0.1)]
    expected = [(0.2, 0.35, 0.0), (0.168, 0.5, 0.0), (0.2128, 0.85, 0.224)]
    for record, (proportional, integral, derivative) in zip(records, expected, strict=True):
        assert record.terms == pytest.approx(
            {"proportional": proportional, "integral": integral, "derivative": derivative}
        )
        assert record.multiplier == pytest.approx(proportional + integral + derivative)


def test_the_integral_of_pid_winds_up_to_neither_side():
    controller = BUILD["pid"](Constraint("x", 0.5, 1.0), kp=0.0, kd=0.0)
    assert [controller.step(scored(0.0))["x"].terms["integral"] for _ in range(3)] == pytest.approx([1.35, CAP, CAP])
    # one satisfied step brings it down at once: 1.5 - .7 * .5
    assert controller.step(scored(1.0))["x"].multiplier == pytest.approx(1.15)
    for _ in range(9):
        controller.step(scored(1.0))
    assert controller.step(scored(0.0))["x"].multiplier == pytest.approx(0.35)


def test_nupi_golden():
    # tau .8, lr .5, kp .8, nu .25, from .1. Scores .3, .5, .1: e = .5, .3, .7
    # xi = .5; .125 + .225 = .35; .0875 + .525 = .6125
    # .1 + .25 = .35; .35 + .15 + .8 * (.35 - .5) = .38; .38 + .35 + .8 * .2625 = .94
    controller = BUILD["nupi"](Constraint("x", 0.8, 0.1), lr=0.5, smoothing=0.25)
    moved = [controller.step(scored(score))["x"] for score in (0.3, 0.5, 0.1)]
    assert [record.multiplier for record in moved] == pytest.approx([0.35, 0.38, 0.94])
    assert moved[2].terms == pytest.approx({"integral": 0.35, "proportional": 0.21})


def test_multiplicative_golden():
    # tau .8, lr .5: 1 * e^(.5 * .5), then * e^(.5 * -.2)
    controller = BUILD["multiplicative"](Constraint("x", 0.8, 1.0), lr=0.5)
    assert controller.step(scored(0.3))["x"].multiplier == pytest.approx(1.2840254)
    assert controller.step(scored(1.0))["x"].multiplier == pytest.approx(math.exp(0.15))


def test_multiplicative_leaves_0_and_stays_above_its_floor():
    controller = BUILD["multiplicative"](Constraint("x", 0.5, 0.0), lr=2.0)
    assert controller.multipliers == {"x": 0.0}
    assert controller.step(scored(0.0))["x"].multiplier == pytest.approx(0.02 * math.e)
    assert [controller.step(scored(1.0))["x"].multiplier for _ in range(4)][1:] == [0.02] * 3


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.floats(0, 1), st.floats(0, CAP), st.floats(0, 0.99))
def test_pid_with_i_only_and_nupi_without_p_are_dual_ascent_exactly(run, threshold, start, smoothing):
    constraint = Constraint("x", threshold, start)
    ascent = BUILD["dual_ascent"](constraint)
    others = (
        BUILD["pid"](constraint, kp=0.0, kd=0.0, smoothing=smoothing),
        BUILD["nupi"](constraint, kp=0.0, smoothing=smoothing),
    )
    for score in run:
        expected = ascent.step(scored(score))["x"].multiplier
        assert [other.step(scored(score))["x"].multiplier for other in others] == [expected, expected]


steps_of_a_run = st.lists(
    st.tuples(st.floats(-3, 3), st.sampled_from([2, 2, 2, 1, 0]), st.sampled_from([{}, {}, {"x": "held"}])),
    min_size=1,
    max_size=15,
)


@every_controller
@given(run=steps_of_a_run, threshold=st.floats(0, 1), start=st.floats(0, CAP), saved_after=st.integers(0, 14))
@settings(max_examples=60)
def test_bounded_finite_and_resumed_at_any_step(name, run, threshold, start, saved_after):
    straight, stopped, resumed = (BUILD[name](Constraint("x", threshold, start)) for _ in range(3))
    resumed.step(scored(0.0))  # whatever happened before loading is forgotten
    for position, (score, count, hold) in enumerate(run):
        before = straight.state_dict()
        record = straight.step(scored(score, count), hold=hold)["x"]
        assert 0.0 <= record.multiplier <= CAP
        assert record.multiplier == straight.multipliers["x"]
        assert all(math.isfinite(term) for term in record.terms.values())
        if not record.updated:
            assert (straight.state_dict(), record.terms) == (before, {})
        if position == min(saved_after, len(run) - 1):
            resumed.load_state_dict(json.loads(json.dumps(stopped.state_dict(), allow_nan=False)))
        if position < min(saved_after, len(run) - 1):
            stopped.step(scored(score, count), hold=hold)
        else:
            assert resumed.step(scored(score, count), hold=hold)["x"] == record
    assert resumed.state_dict() == straight.state_dict()


@every_controller
@pytest.mark.parametrize("score", [-1e300, 1e300])
def test_absurd_scores_stay_within_the_bounds(name, score):
    controller = BUILD[name](Constraint("x", 0.5))
    for _ in range(3):
        assert 0.0 <= controller.step(scored(score))["x"].multiplier <= CAP


@every_controller
def test_a_bad_batch_moves_nothing(name):
    controller = BUILD[name](Constraint("x", 0.5), Constraint("y", 0.5))
    before = controller.state_dict()
    with pytest.raises(ValueError, match="nan"):
        controller.step({**scored(0.0), "y": scored(math.nan)["x"]})
    assert controller.state_dict() == before


@every_controller
@pytest.mark.parametrize("other", BUILD)
def test_a_foreign_state_is_refused_whole(name, other):
    controller, foreign = (BUILD[kind](Constraint("x", 0.5)) for kind in (name, other))
    foreign.step(scored(0.0))
    before = controller.state_dict()
    if name == other:
        controller.load_state_dict(foreign.state_dict())
        assert controller.state_dict() == foreign.state_dict()
    else:
        with pytest.raises(ValueError, match=f"controller '{other}', this one is '{name}'"):
            controller.load_state_dict(foreign.state_dict())
        assert controller.state_dict() == before


def test_a_damaged_memory_is_refused_whole(subtests):
    for memory, message in [
        ({}, r"memory are of the constraints \[\]"),
        ({"x": {"smoothed": 0.1}}, r"memory of x holds \['smoothed'\], this controller's \['integral', 'smoothed'\]"),
        ({"x": {"integral": math.nan, "smoothed": 0.1}}, "saved integral of x must be a finite number, got nan"),
        ({"x": {"integral": None, "smoothed": 0.1}}, "saved integral of x must be a finite number, got None"),
    ]:
        with subtests.test(memory=memory):
            controller = BUILD["pid"](Constraint("x", 0.5))
            before = controller.state_dict()
            with pytest.raises(ValueError, match=message):
                controller.load_state_dict({**before, "multipliers": {"x": 0.3}, "memory": memory})
            assert controller.state_dict() == before


@every_controller
def test_an_unreachable_threshold_saturates(name, caplog):
    controller = BUILD[name](Constraint("x", 1.0))
    with caplog.at_level(logging.WARNING):
        saturated = [controller.step(scored(0.0))["x"].saturated for _ in range(20)]
    assert saturated[-1]
    assert len(caplog.records) == 1
    assert controller.multipliers == {"x": CAP}


def test_options_are_bounded(subtests):
    for name, option, message in [
        ("pid", {"kp": -1.0}, "kp must be finite and at least 0, got -1.0"),
        ("pid", {"kd": math.inf}, "kd must be finite and at least 0, got inf"),
        ("pid", {"smoothing": 1.0}, r"smoothing must lie in \[0, 1\), got 1.0"),
        ("nupi", {"kp": math.nan}, "kp must be finite and at least 0, got nan"),
        ("nupi", {"smoothing": -0.1}, "smoothing must lie"),
        ("multiplicative", {"floor": 0.0}, "floor must be finite and above 0, got 0.0"),
        ("multiplicative", {"floor": CAP}, "floor must be below max_multiplier=1.5, got 1.5"),
    ]:
        with subtests.test(name=name, option=option, message=message), pytest.raises(ValueError, match=message):
            BUILD[name](Constraint("x", 0.5), **option)


def test_reaches_the_saddle_point_of_a_convex_problem():
    for name, options in [
        ("dual_ascent", {"lr": 0.05}),
        ("pid", {"lr": 0.05, "kp": 0.3, "kd": 0.1, "smoothing": 0.5}),
        ("nupi", {"lr": 0.05, "kp": 0.3, "smoothing": 0.5}),
        ("multiplicative", {"lr": 0.1, "floor": 1e-9}),
    ]:
        # minimise (x - .1)^2 / 2 + (y - .5)^2 / 2  subject to  x >= .6 and y >= .2:
        # x* = .6 with lambda_x* = .5, y* = .5 with lambda_y* = 0 (as in test_multipliers.py)
        controller = BUILD[name](
            Constraint("x", 0.6), Constraint("y", 0.2), min_applicable=1, max_multiplier=5.0, **options
        )
        x = y = 0.0
        for _ in range(2000):
            weight = controller.multipliers
            x -= 0.1 * ((x - 0.1) - weight["x"])
            y -= 0.1 * ((y - 0.5) - weight["y"])
            records = controller.step({"x": scored(x)["x"], "y": scored(y)["x"]})
        assert (x, y) == pytest.approx((0.6, 0.5), abs=1e-6), name
        assert controller.multipliers == pytest.approx({"x": 0.5, "y": 0.0}, abs=1e-6), name
        assert records["x"].violation == pytest.approx(0.0, abs=1e-6), name
