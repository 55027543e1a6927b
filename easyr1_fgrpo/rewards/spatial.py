"""Spatial grounding R_G (FGRPO Eq. 1): predicted boxes against ground-truth boxes by CIoU and Hungarian matching."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

FloatArray = NDArray[np.float64]
Boxes = FloatArray | Sequence[Sequence[float]]
"""Boxes as rows of an array, or as a list of lists or tuples."""


def ciou(boxes_N4: Boxes, reference_M4: Boxes) -> FloatArray:
    """Complete IoU of every pair (Zheng et al. 2020, "Distance-IoU Loss", Eq. 8-11).

    CIoU = IoU - d^2 / c^2 - alpha v, with d the distance of the centres, c the diagonal of the smallest enclosing box,
    v = 4/pi^2 (atan(w_ref/h_ref) - atan(w/h))^2 and alpha = v / ((1 - IoU) + v). A term whose denominator is zero
    (boxes without area) is zero, so the result is finite for finite boxes.

    Args:
        boxes_N4: (x1, y1, x2, y2) with x1 <= x2 and y1 <= y2, pixels.
        reference_M4: the same, of the ground truth.

    Returns:
        (N, M), at most 1; 1 for identical boxes that have an area.
    """
    boxes_N4, reference_M4 = (
        np.asarray(boxes, dtype=np.float64).reshape(len(boxes), 4) for boxes in (boxes_N4, reference_M4)
    )
    # Leading axis xy, so that every step below is one operation on contiguous (2, N, 1) against (2, 1, M).
    low_a, high_a = boxes_N4.T[:2, :, None], boxes_N4.T[2:, :, None]
    low_b, high_b = reference_M4.T[:2, None, :], reference_M4.T[2:, None, :]
    size_a, size_b = high_a - low_a, high_b - low_b

    overlap = np.maximum(np.minimum(high_a, high_b) - np.maximum(low_a, low_b), 0.0)
    intersection = overlap[0] * overlap[1]
    union = size_a[0] * size_a[1] + size_b[0] * size_b[1] - intersection
    iou = _divide(intersection, union)

    hull = np.maximum(high_a, high_b) - np.minimum(low_a, low_b)
    apart = (low_a + high_a - low_b - high_b) / 2
    distance = _divide(apart[0] ** 2 + apart[1] ** 2, hull[0] ** 2 + hull[1] ** 2)

    v = 4 / np.pi**2 * (np.arctan2(size_b[0], size_b[1]) - np.arctan2(size_a[0], size_a[1])) ** 2
    return iou - distance - _divide(v**2, 1 - iou + v)


def match_score(pair_scores_NM: FloatArray, n_predicted: int | None = None) -> float:
    """The best one-to-one matching's total over max(N, M).

    Every pair is clamped to [0, 1] before the assignment: on raw CIoU, [[.3, -.1], [-.1, -.9]] would match the
    off-diagonal (-.2 beats -.6) and score 0, while the clamped optimum is .3.

    Args:
        pair_scores_NM: score of each predicted box against each ground-truth box; finite.
        n_predicted: N when more boxes were predicted than have a row (unusable ones); at least the number of rows.

    Returns:
        A score in [0, 1]; 0 when nothing was predicted or nothing is there to match.

    Raises:
        ValueError: when `n_predicted` is below the number of rows.
    """
    n_rows, n_references = pair_scores_NM.shape
    n = n_rows if n_predicted is None else n_predicted
    if n < n_rows:
        raise ValueError(f"n_predicted={n} is below the {n_rows} rows of the pair scores")
    clamped = np.minimum(np.maximum(pair_scores_NM, 0.0), 1.0)
    rows, columns = linear_sum_assignment(clamped, maximize=True)
    return float(clamped[rows, columns].sum() / max(n, n_references, 1))


def spatial_score(
    boxes: Sequence[Sequence[float]], reference: Sequence[Sequence[float]], n_predicted: int | None = None
) -> float:
    """R_G of one rollout (FGRPO Eq. 1).

    Linear in the number of predicted boxes for few references; `response.MAX_BOXES` bounds it.

    Args:
        boxes: usable predicted boxes, xyxy in pixels of `reference`.
        reference: ground-truth boxes.
        n_predicted: N, unusable predicted boxes included; default `len(boxes)`.

    Returns:
        A score in [0, 1]; no predicted box gives 0.

    Raises:
        ValueError: when there is no ground-truth box: such a sample has no spatial score.
    """
    if not reference:
        raise ValueError("a sample without ground-truth boxes has no spatial score")
    if not boxes:
        return 0.0
    return match_score(ciou(boxes, reference), n_predicted)


def _divide(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """The quotient, 0 where the denominator is not positive."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
