import pytest

from easyr1_fgrpo.study.arms import ARMS
from easyr1_fgrpo.study.page import page
from easyr1_fgrpo.study.records import record_of
from easyr1_fgrpo.study.runs import Run
from easyr1_fgrpo.study.violations import Violations, constraints, violations

from .made_runs import finish
from .test_page import cells


def record(root, scores, multipliers, *, seed=0):
    """A finished run whose consistency (threshold .95) had these scores, one a step; None: not measured."""
    run = Run(ARMS["fgrpo"], seed, root, steps=200)
    finish(run, 17, 1)
    steps = tuple(range(1, len(scores) + 1))
    training = {
        "fgrpo/consistency/threshold": (0.95,) * len(scores),
        "fgrpo/consistency/score": tuple(scores),
        "fgrpo/consistency/multiplier": tuple(multipliers),
    }
    return record_of(run).model_copy(update={"training_steps": steps, "training": training})


def test_by_hand(tmp_path):
    scores = [0.75, 0.96, 0.96, 0.96, 0.96, 0.85, None, 0.95, 1.0, 1.0, None, 1.0, 1.0]
    found = record(tmp_path, scores, [1.0, 1.2, 1.1, *[0.5] * 10])
    assert constraints(found) == ["consistency"]
    kept = violations(found, "consistency")
    # .2 in step 1 and .1 in step 6; four steps are not enough; steps 8 to 13 are, step 11 having measured nothing
    assert kept.area == pytest.approx(0.3)
    assert (kept.feasible_from, kept.highest, kept.last) == (8, 1.2, 0.5)


def test_a_constraint_that_was_never_kept(tmp_path):
    assert violations(record(tmp_path, [0.9] * 9, [1.0] * 9), "consistency").feasible_from is None
    assert violations(record(tmp_path, [None] * 9, [1.0] * 9), "consistency") == Violations(None, None, 1.0, 1.0)


def test_the_page_means_over_seeds_and_counts_those_that_never_kept_it(tmp_path):
    always = record(tmp_path, [1.0] * 6, [1.0] * 6)
    later = record(tmp_path, [0.85, *[1.0] * 6], [1.0, *[1.5] * 6], seed=1)
    never = record(tmp_path, [0.75] * 6, [2.0] * 6, seed=2)
    head = ("How the constraints were kept", "`fgrpo`", "consistency")
    assert cells(page([always, later], [], "c", []), *head) == ["2", "0.05", "1.25", "1.25", "2"]
    assert cells(page([later, never], [], "c", []), *head)[0] == "2, never in 1"
    assert cells(page([never], [], "c", []), *head)[:2] == ["never in 1", "1.20"]
    unmeasured = record(tmp_path, [None] * 6, [1.0] * 6, seed=3)
    assert cells(page([never, unmeasured], [], "c", []), *head)[:2] == ["never in 2", "1.20, unmeasured in 1"]


def test_without_constraints_there_is_no_such_table(tmp_path):
    run = Run(ARMS["grpo_t"], 0, tmp_path, steps=200)
    finish(run, 17, 1)
    assert "constraints were kept" not in page([record_of(run)], [], "c", [])
