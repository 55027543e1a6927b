"""Of too many traces: each step and evaluation has some, what tells something first, the same in every run."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from easyr1_fgrpo.report.traces import choice
from easyr1_fgrpo.report.traces.choice import Shelf, choose
from easyr1_fgrpo.trace_index import RIGHT_BUT_INCONSISTENT, ROW, WRONG_BUT_CONSISTENT


def rows(steps, per_step, tells=None, length=1_000):
    found = np.zeros(steps * per_step, ROW)
    found["step"] = np.repeat(np.arange(steps), per_step)
    found["index"] = np.arange(len(found))
    found["pictures"] = found["index"] // 5
    found["length"] = length
    for number, value in (tells or {}).items():
        found["tells"][number] = value
    return found


def test_what_fits_stays_whole():
    shelves = [Shelf(0, 0, False, rows(10, 20)), Shelf(0, 1, True, rows(1, 30))]
    assert all(kept.all() for kept in choose(shelves, 230))
    assert [len(kept) for kept in choose(shelves, 230)] == [200, 30]
    assert choose([], 10) == []


def test_every_step_has_some_and_every_run_the_same():
    runs = [Shelf(run, 0, False, rows(50, 20)) for run in range(2)]
    first, second = choose(runs, 300)
    assert (first == second).all()
    assert np.bincount(runs[0].rows["step"][first]).tolist() == [3] * 50


def test_more_steps_than_room_are_taken_at_even_distances():
    shelf = Shelf(0, 0, False, rows(100, 10))
    (kept,) = choose([shelf], 11)
    steps = shelf.rows["step"][kept]
    assert len(steps) == 11
    assert steps[[0, -1]].tolist() == [0, 99]
    assert set(np.diff(steps)) <= {9, 10}


def test_what_tells_something_comes_first():
    tells = {3: RIGHT_BUT_INCONSISTENT, **dict.fromkeys(range(5, 20), WRONG_BUT_CONSISTENT)}
    shelf = Shelf(0, 0, False, rows(1, 100, tells))
    (kept,) = choose([shelf], 9)
    chosen = shelf.rows["tells"][kept].tolist()
    assert chosen.count(RIGHT_BUT_INCONSISTENT) == 1
    assert chosen.count(WRONG_BUT_CONSISTENT) >= 4
    assert 0 in chosen, "the usual ones are there, too"


def test_evaluations_have_half_and_what_they_do_not_need_is_trainings():
    training = Shelf(0, 0, False, rows(10, 100))
    kept = choose([training, Shelf(0, 1, True, rows(1, 500))], 200)
    assert [int(part.sum()) for part in kept] == [100, 100]
    kept = choose([training, Shelf(0, 1, True, rows(1, 20))], 200)
    assert [int(part.sum()) for part in kept] == [180, 20]
    kept = choose([Shelf(0, 0, False, rows(1, 20)), Shelf(0, 1, True, rows(1, 500))], 200)
    assert [int(part.sum()) for part in kept] == [20, 180]


def test_long_traces_and_many_pictures_leave_room_for_fewer():
    (kept,) = choose([Shelf(0, 0, False, rows(10, 100, length=choice.MOST_BYTES // 50))], 900)
    assert 45 <= kept.sum() <= 50
    large = rows(10, 1_000)
    large["pictures"] = large["index"]
    (kept,) = choose([Shelf(0, 0, False, large)], 9_000)
    assert kept.sum() == choice.MOST_PICTURES


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 12), st.integers(0, 9), st.booleans()), min_size=1, max_size=4),
    most=st.integers(1, 400),
    seed=st.integers(0, 9),
)
def test_never_more_than_asked_and_never_none(sizes, most, seed):
    rng = np.random.default_rng(seed)
    shelves = []
    for place, (steps, per_step, evaluation) in enumerate(sizes):
        found = rows(steps, per_step)
        found["tells"] = rng.integers(0, 64, len(found)).astype("u8")
        shelves.append(Shelf(0, place, evaluation, found))
    kept = choose(shelves, most)
    total = sum(len(shelf.rows) for shelf in shelves)
    assert sum(int(part.sum()) for part in kept) == min(most, total)
    assert [len(part) for part in kept] == [len(shelf.rows) for shelf in shelves]
