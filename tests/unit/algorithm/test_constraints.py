import random

import pytest
import torch

from easyr1_fgrpo.algorithm import Constraint, batch_score, measure

NAN = float("nan")


def test_batch_score_golden():
    # (1 + 0 + .5) / 3 over the applicable rows; the others may hold anything
    scores = torch.tensor([1.0, NAN, 0.0, 0.5, 7.0])
    assert batch_score(scores, torch.tensor([True, False, True, True, False])) == (0.5, 3)


def test_no_applicable_rollout_is_no_score():
    assert batch_score(torch.tensor([NAN, 1.0]), torch.tensor([False, False])) == (None, 0)
    assert batch_score(torch.zeros(0), torch.zeros(0, dtype=torch.bool)) == (None, 0)


def test_the_score_does_not_depend_on_the_order_of_rollouts():
    generator = random.Random(0)
    scores = [generator.random() for _ in range(500)]
    everything = torch.ones(500, dtype=torch.bool)
    first, _ = batch_score(torch.tensor(scores, dtype=torch.float64), everything)
    for _ in range(20):
        generator.shuffle(scores)
        assert batch_score(torch.tensor(scores, dtype=torch.float64), everything) == (first, 500)


def test_an_applicable_nan_is_refused():
    with pytest.raises(ValueError, match="scores_B is nan in row 0"):
        batch_score(torch.tensor([NAN, 1.0]), torch.tensor([True, True]))


def test_measure_gives_score_count_and_violation():
    constraints = [Constraint("spatial_grounding", 0.65), Constraint("consistency", 0.95)]
    measured = measure(
        constraints,
        {
            "consistency": (torch.tensor([1.0, 0.0]), torch.tensor([True, True])),
            "spatial_grounding": (torch.tensor([1.0, 0.0]), torch.tensor([False, False])),
        },
    )
    assert list(measured) == ["spatial_grounding", "consistency"]
    assert (measured["consistency"].score, measured["consistency"].count) == (0.5, 2)
    assert measured["consistency"].violation == pytest.approx(0.45)
    assert measured["spatial_grounding"].violation is None


def test_measure_wants_exactly_the_constraints(subtests):
    for names in [[], ["consistency", "other"]]:
        with subtests.test(names=names):
            scores = {name: (torch.zeros(1), torch.ones(1, dtype=torch.bool)) for name in names}
            with pytest.raises(ValueError, match=r"exactly the constraints \['consistency'\]"):
                measure([Constraint("consistency", 0.95)], scores)


def test_a_constraint_checks_its_bounds(subtests):
    for arguments, message in [
        (("consistency", 1.9), "threshold of consistency must lie in .0, 1., got 1.9"),
        (("consistency", -0.1), "got -0.1"),
        (("consistency", NAN), "got nan"),
        (("consistency", 0.9, -1.0), "initial multiplier of consistency .* got -1.0"),
        (("consistency", 0.9, float("inf")), "got inf"),
        (("", 0.9), "got ''"),
        (("task", 0.9), "got 'task'"),
    ]:
        with subtests.test(arguments=arguments), pytest.raises(ValueError, match=message):
            Constraint(*arguments)


def test_bounds_belong_to_the_range():
    assert (Constraint("a", 0.0, 0.0).threshold, Constraint("a", 1.0).initial_multiplier) == (0.0, 1.0)
