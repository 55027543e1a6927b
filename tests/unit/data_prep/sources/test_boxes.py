import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.sources.boxes import BoxError, Convention, as_boxes, to_pixels

WIDTH, HEIGHT = 391, 500


@st.composite
def boxes(draw):
    x1, y1 = draw(st.floats(0, WIDTH - 3)), draw(st.floats(0, HEIGHT - 3))
    return x1, y1, draw(st.floats(x1 + 2.5, WIDTH)), draw(st.floats(y1 + 2.5, HEIGHT))


def written(box, convention):
    """The box as a source of that convention would write it, worked out on paper."""
    x1, y1, x2, y2 = box
    if convention is Convention.UNIT:
        return x1 / WIDTH, y1 / HEIGHT, x2 / WIDTH, y2 / HEIGHT
    if convention is Convention.THOUSANDTHS:
        return 1000 * x1 / WIDTH, 1000 * y1 / HEIGHT, 1000 * x2 / WIDTH, 1000 * y2 / HEIGHT
    if convention is Convention.PADDED_UNIT:  # 391 is padded to 500: (500 - 391) // 2 = 54 columns on the left
        return (x1 + 54) / 500, y1 / 500, (x2 + 54) / 500, y2 / 500
    return box


@given(boxes(), st.sampled_from(Convention))
def test_every_convention_comes_back_to_the_same_pixels(box, convention):
    assert to_pixels(written(box, convention), convention, WIDTH, HEIGHT) == pytest.approx(box, abs=1e-6)


@given(boxes(), st.sampled_from([(2, 1, 0, 3), (0, 3, 2, 1), (2, 3, 0, 1)]))
def test_reversed_corners_are_mended_or_refused_never_changed(box, order):
    reversed_box = tuple(box[index] for index in order)
    x1, y1, x2, y2 = reversed_box
    could_be_xywh = min(x2, y2) > 0 and x1 + x2 <= WIDTH and y1 + y2 <= HEIGHT
    if could_be_xywh:
        with pytest.raises(BoxError, match="reversed corners, or is x, y, width, height"):
            to_pixels(reversed_box, Convention.PIXELS, WIDTH, HEIGHT)
    else:
        assert to_pixels(reversed_box, Convention.PIXELS, WIDTH, HEIGHT) == box


def test_a_wide_picture_is_padded_above_and_below():
    # 500 x 333: (500 - 333) // 2 = 83 rows above
    box = to_pixels((0.1, 183 / 500, 0.5, 283 / 500), Convention.PADDED_UNIT, 500, 333)
    assert box == pytest.approx((50, 100, 250, 200))


def test_a_little_overhang_is_cut():
    assert to_pixels((-2, -10, 395, 510), Convention.PIXELS, WIDTH, HEIGHT) == (0, 0, WIDTH, HEIGHT)
    assert to_pixels((0, 0, 12, 12), Convention.PIXELS, 10, 10) == (0, 0, 10, 10)


def test_boxes_that_are_refused(subtests):
    for box, message in [
        ((0, 0, 400, 100), r"\[0, 0, 400, 100\] lies outside the image of 391 x 500"),
        ((0, -11, 100, 100), "lies outside"),
        ((395, 510, 398, 509), "thinner|outside|reversed"),
        ((5, 5, 6, 100), "thinner than 2 pixels"),
        ((5, 5, 100, 5), "thinner than 2 pixels"),
    ]:
        with subtests.test(box=box), pytest.raises(BoxError, match=message):
            to_pixels(box, Convention.PIXELS, WIDTH, HEIGHT)


def test_lists_of_boxes():
    assert as_boxes([1, 2, 3, 4]) == ((1, 2, 3, 4),)
    assert as_boxes([[1, 2, 3, 4], [5, 6, 7, 8]]) == ((1, 2, 3, 4), (5, 6, 7, 8))


def test_what_is_no_box(subtests):
    for value in [
        "[1, 2, 3, 4]",
        None,
        3,
        [],
        [1, 2, 3],
        [1, 2, 3, None],
        [1, 2, 3, float("inf")],
        [[1, 2], 3],
        [[[1]]],
    ]:
        with subtests.test(value=value), pytest.raises(BoxError):
            as_boxes(value)


def test_numbers_that_no_coordinate_can_be_are_no_box():
    """JSON has integers of any length, and 1e999."""
    for number in (10**400, -(10**400), float("inf"), float("nan"), 2e9):
        with pytest.raises(BoxError, match="is not four numbers") as refused:
            as_boxes([0, 0, number, 1])
        assert len(str(refused.value)) < 200
