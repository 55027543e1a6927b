import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.mcts.coordinates import Convention, Frame, PixelBudget

SIDES = st.integers(1, 6000)


def test_size_seen():
    for raw, least, most, seen in [
        ((640, 480), 3136, 4194304, (644, 476)),  # nearest multiples of 28: 22.86 -> 23, 17.14 -> 17
        ((84, 84), 3136, 4194304, (84, 84)),
        ((30, 20), 3136, 4194304, (84, 56)),  # too small: x 2.286 is 68.6 x 45.7, up to 84 x 56
        ((1000, 500), 3136, 125000, (476, 224)),  # half of each side, 500 x 250, down to multiples
    ]:
        assert PixelBudget(least, most).seen(raw) == seen, raw


def test_size_seen_is_that_of_the_models_own_preprocessor():
    smart_resize = pytest.importorskip(
        "transformers.models.qwen2_vl.image_processing_pil_qwen2_vl", exc_type=ImportError
    ).smart_resize

    @given(SIDES, SIDES, st.integers(784, 10**5), st.integers(10**5, 10**7))
    def same(width, height, least, most):
        budget = PixelBudget(least, most)
        if max(width, height) > 200 * min(width, height):
            with pytest.raises(ValueError, match="200 times as long as wide"):
                budget.seen((width, height))
        else:
            assert budget.seen((width, height)) == smart_resize(height, width, 28, least, most)[::-1]

    same()


def test_conventions_of_one_box():
    box = (160.0, 120.0, 320.0, 240.0)
    pixels = Frame((640, 480), (1288, 952), Convention.PIXELS)
    thousand = Frame((640, 480), (1288, 952), Convention.THOUSAND)
    assert pixels.written(box) == (322, 238, 644, 476)
    assert pixels.read((322.0, 238.0, 644.0, 476.0)) == box
    assert thousand.written(box) == (250, 250, 500, 500)
    assert thousand.read((250.0, 250.0, 500.0, 500.0)) == box


@given(SIDES, SIDES, st.sampled_from(Convention), st.tuples(*[st.floats(0, 1)] * 4))
def test_a_box_read_back_is_written_the_same(width, height, convention, shares):
    raw = (min(width, 200 * height), min(height, 200 * width))
    frame = Frame(raw, PixelBudget().seen(raw), convention)
    ends = (*frame.seen, *frame.seen) if convention is Convention.PIXELS else (1000,) * 4
    written = tuple(round(part * end) for part, end in zip(shares, ends, strict=True))
    assert frame.written(frame.read(written)) == written


def test_an_impossible_budget_is_refused(subtests):
    for least, most in [(0, 1000), (2000, 1000), (100, 10**6)]:
        with subtests.test(least=least), pytest.raises(ValueError, match=f"--min-pixels {least} --max-pixels {most}"):
            PixelBudget(least, most)
