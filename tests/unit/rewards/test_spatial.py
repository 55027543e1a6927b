import itertools
import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from easyr1_fgrpo.rewards import ciou, match_score, spatial_score

number = st.floats(-1e6, 1e6)
box = st.tuples(number, number, number, number).map(
    lambda v: (min(v[0], v[2]), min(v[1], v[3]), max(v[0], v[2]), max(v[1], v[3]))
)
cell = st.integers(0, 12)
small_box = st.tuples(cell, cell, st.integers(1, 8), st.integers(1, 8)).map(
    lambda v: (float(v[0]), float(v[1]), float(v[0] + v[2]), float(v[1] + v[3]))
)


def slow_ciou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    intersection = width * height if width > 0 and height > 0 else 0.0
    (wa, ha), (wb, hb) = ((c[2] - c[0], c[3] - c[1]) for c in (a, b))
    iou = intersection / (wa * ha + wb * hb - intersection)
    hull = math.dist((min(a[0], b[0]), min(a[1], b[1])), (max(a[2], b[2]), max(a[3], b[3])))
    apart = math.dist(((a[0] + a[2]) / 2, (a[1] + a[3]) / 2), ((b[0] + b[2]) / 2, (b[1] + b[3]) / 2))
    v = 4 / math.pi**2 * (math.atan(wb / hb) - math.atan(wa / ha)) ** 2
    return iou - (apart / hull) ** 2 - (v / (1 - iou + v) * v if v else 0.0)


def slow_score(boxes, reference):
    pairs = [[min(max(slow_ciou(a, b), 0.0), 1.0) for b in reference] for a in boxes]
    if len(boxes) > len(reference):
        pairs = [list(column) for column in zip(*pairs, strict=True)]
    columns = range(max(len(boxes), len(reference)))
    best = max(sum(pairs[i][j] for i, j in enumerate(chosen)) for chosen in itertools.permutations(columns, len(pairs)))
    return best / max(len(boxes), len(reference))


def pair(a, b):
    return ciou(np.array([a], dtype=float), np.array([b], dtype=float)).item()


def test_shifted_square():
    # overlap 1x2 = 2, union 4 + 4 - 2 = 6; centres 1 apart; hull 3x2, c^2 = 13; same shape, v = 0
    assert pair((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3 - 1 / 13)


def test_other_aspect():
    # IoU 4/8; centres 1 apart; hull 4x2, c^2 = 20; atan 2 - atan 1 = .321751, v = .405285 * .103523 = .0419565;
    # alpha = .0419565 / .5419565 = .0774167; alpha v = .0032481
    assert pair((0, 0, 2, 2), (0, 0, 4, 2)) == pytest.approx(0.5 - 0.05 - 0.0032481, abs=1e-6)


def test_disjoint_boxes_are_below_zero_and_score_zero():
    assert pair((0, 0, 1, 1), (5, 5, 6, 6)) < 0
    assert spatial_score([(0, 0, 1, 1)], [(5, 5, 6, 6)]) == 0.0


def test_pairs_are_clamped_before_the_assignment():
    # Raw totals: diagonal .3 - .9 = -.6, off-diagonal -.1 - .1 = -.2, which would win and clamp to 0.
    # Clamped first: the diagonal's .3 wins; over max(N, M) = 2 it is .15.
    scores = np.array([[0.3, -0.1], [-0.1, -0.9]])
    assert match_score(scores) == pytest.approx(0.3 / 2)


def test_the_best_assignment_is_not_the_greedy_one():
    # greedy .9 + .1 = 1.0; best .8 + .8 = 1.6
    assert match_score(np.array([[0.9, 0.8], [0.8, 0.1]])) == pytest.approx(0.8)


def test_identical_boxes_score_exactly_one_in_any_order():
    boxes = [(0.0, 0.0, 3.3, 7.1), (10.0, 2.0, 14.7, 5.0), (1.0, 1.0, 2.0, 2.0)]
    assert spatial_score(boxes, boxes[::-1]) == 1.0


def test_missing_and_surplus_boxes_divide_by_the_larger_number():
    a, b = (0.0, 0.0, 2.0, 2.0), (50.0, 50.0, 60.0, 60.0)
    assert spatial_score([], [a]) == 0.0
    assert spatial_score([a], [a, b]) == 0.5
    assert spatial_score([a, b], [a]) == 0.5
    assert spatial_score([a], [a], n_predicted=4) == 0.25
    assert match_score(np.zeros((0, 0))) == 0.0


def test_more_rows_than_predictions_are_refused():
    with pytest.raises(ValueError, match="n_predicted=1 is below the 2 rows"):
        match_score(np.ones((2, 2)), n_predicted=1)


def test_a_sample_without_boxes_has_no_score():
    with pytest.raises(ValueError, match="without ground-truth boxes"):
        spatial_score([(0, 0, 1, 1)], [])


def test_boxes_without_area_score_zero():
    for flat in [(1, 1, 1, 1), (1, 1, 5, 1), (1, 1, 1, 5), (0, 0, 1e-200, 1e-200)]:
        for other in [(1, 1, 1, 1), (0, 0, 4, 4), (1, 1, 5, 1)]:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                assert math.isfinite(pair(flat, other)), (flat, other)
                assert spatial_score([flat], [other]) == 0.0, (flat, other)


@given(st.lists(small_box, min_size=1, max_size=4), st.lists(small_box, min_size=1, max_size=4))
def test_equals_the_slow_loop(boxes, reference):
    assert spatial_score(boxes, reference) == pytest.approx(slow_score(boxes, reference), abs=1e-12)


@given(st.lists(box, min_size=1, max_size=5), st.lists(box, min_size=1, max_size=5))
def test_any_boxes_score_in_range(boxes, reference):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        score = spatial_score(boxes, reference)
    assert 0.0 <= score <= 1.0
    assert score == pytest.approx(spatial_score(reference, boxes))


@given(st.lists(small_box, min_size=1, max_size=4), st.lists(small_box, min_size=1, max_size=4), st.integers(1, 50))
def test_unusable_boxes_never_help(boxes, reference, surplus):
    assert spatial_score(boxes, reference, len(boxes) + surplus) <= spatial_score(boxes, reference)
