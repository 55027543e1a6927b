from hypothesis import given
from hypothesis import strategies as st
from processor_time import assert_quick

from easyr1_fgrpo.judges.boxes import pixel_boxes, plain_boxes, to_pixels, to_thousand
from easyr1_fgrpo.rewards.response import parse_response

coordinate = st.one_of(
    st.integers(-200, 200).map(str),
    st.floats(-2e6, 2e6).map(lambda value: f"{value:.3f}"),
    st.sampled_from(["nan", "1e3", "-0", " 7 ", ".5", "5.", "", "x", "٣", "1_0", "½", "9" * 400, "1\u2003"]),
)
box_tag = st.builds(
    "<bbox>{}{}{}".format,
    st.sampled_from(["[", "[[", "", "a [", "[1,2,3,4],["]),
    st.lists(coordinate, min_size=3, max_size=5).map(",".join),
    st.sampled_from(["]</bbox>", "]]</bbox>", "</bbox>", "] b</bbox>", "],[1,2,3,4]</bbox>", "]", ""]),
)
tag_soup = st.lists(st.one_of(st.text(), st.sampled_from(["<bbox>", "</bbox>", "[", "]", ","]), box_tag)).map("".join)
sizes = st.tuples(st.integers(1, 20_000), st.integers(1, 20_000))


def test_boxes_become_plain():
    for text, pixels, thousand in [
        ("A cat <bbox>[20,10,100,50]</bbox>.", "A cat [20, 10, 100, 50].", "A cat [100, 100, 500, 500]."),
        ("<bbox>[ 20, 10.50 ,+100,50.]</bbox>", "[20, 10.5, 100, 50]", "[100, 105, 500, 500]"),
        ("<bbox>[[2,1,4,2],[0,0,9,9]]</bbox>", "[[2, 1, 4, 2],[0, 0, 9, 9]]", "[[10, 10, 20, 20],[0, 0, 45, 90]]"),
        ("<bbox>[-20,0,300,1]</bbox>", "[-20, 0, 300, 1]", "[-100, 0, 1500, 10]"),
        ("[20,10,100,50] is left", "[20,10,100,50] is left", "[20,10,100,50] is left"),
    ]:
        assert plain_boxes(text) == pixels
        assert plain_boxes(text, (200, 100)) == thousand


def test_malformed_boxes_stay():
    for text in [
        "<bbox></bbox>",
        "<bbox>1,2,3,4</bbox>",
        "<bbox>[1,2,3]</bbox>",
        "<bbox>[1,2,3,4,5]</bbox>",
        "<bbox>[3,2,1,4]</bbox>",
        "<bbox>[1,2,3,1e3]</bbox>",
        "<bbox>[1,2,3,nan]</bbox>",
        "<bbox>[1,2,3,٣]</bbox>",
        "<bbox>[1,2,3,1000001]</bbox>",
        "<bbox>[1,2,3,4][5]</bbox>",
        "<bbox>[1,2,3,4]",
        "<bbox>[1,2,<b>3,4]</bbox>",
        "<BBOX>[1,2,3,4]</BBOX>",
    ]:
        assert plain_boxes(text) == plain_boxes(text, (200, 100)) == text


@given(box_tag)
def test_the_spatial_reward_and_the_judge_agree_on_what_a_box_is(tag):
    parsed = parse_response(f"<think>.{tag}</think><answer>left</answer>")
    usable = parsed.n_boxes > 0 and len(parsed.boxes) == parsed.n_boxes
    assert (plain_boxes(tag) != tag) == usable


@given(tag_soup, st.none() | sizes)
def test_text_between_boxes_stays(text, size):
    written = plain_boxes(f"before{text}after", size)
    assert written.startswith("before")
    assert written.endswith("after")
    assert plain_boxes("the same, again: " * 2 + text, size) == "the same, again: " * 2 + plain_boxes(text, size)


def test_conventions_by_hand():
    assert to_thousand((64, 120, 320, 480), (640, 480)) == (100, 250, 500, 1000)
    assert to_pixels((100, 250, 500, 1000), (640, 480)) == (64, 120, 320, 480)


@given(st.tuples(*[st.integers(-200, 1200)] * 4), sizes)
def test_thousandths_come_back_exactly(box, size):
    assert to_thousand(to_pixels(box, size), size) == box


@given(st.tuples(*[st.floats(-20_000, 20_000)] * 4), sizes)
def test_pixels_come_back_within_half_a_thousandth(box, size):
    back = to_pixels(to_thousand(box, size), size)
    for value, returned, side in zip(box, back, (*size, *size), strict=True):
        assert abs(value - returned) <= side / 2000 + 1e-6


def test_hostile_text_is_read_in_linear_time():
    for text in [
        "<bbox>[" * 14_300,
        "<bbox>" + "[" * 100_000 + "</bbox>",
        "<bbox>" + "[1" * 50_000 + "</bbox>",
        "<bbox>" + "[1,2,3,4]" * 11_000 + "</bbox>",
        "<bbox>[" + "1," * 50_000 + "]</bbox>",
        "<bbox>[" + "9" * 100_000 + ",1,1,1]</bbox>",
        "<bbox>[1,1,1,1]</bbox>" * 4_500,
    ]:
        assert_quick(lambda text=text: plain_boxes(text, (200, 100)), seconds=1.0)


def test_thousandths_become_pixels_and_tags_stay():
    text = "A cat <bbox>[100,100,500,1000]</bbox>, two <bbox>[[0,0,10,10],[0, 500, 1000, 999.5]]</bbox>, [1,2,3,4]."
    assert pixel_boxes(text, (200, 100)) == (
        "A cat <bbox>[20,10,100,100]</bbox>, two <bbox>[[0,0,2,1],[0,50,200,99.95]]</bbox>, [1,2,3,4]."
    )


def test_what_is_no_box_stays():
    for tag in ["<bbox>[1,2,3]</bbox>", "<bbox>[9,9,1,1]</bbox>", "<bbox>cat</bbox>", "<bbox>[1,2,3,4]"]:
        assert pixel_boxes(tag, (200, 100)) == tag


@given(tag_soup, sizes)
def test_pixel_boxes_keeps_the_number_of_boxes(text, size):
    before, after = (
        parse_response(f"<think>{text}</think>"),
        parse_response(f"<think>{pixel_boxes(text, size)}</think>"),
    )
    assert len(after.boxes) <= before.n_boxes
    assert after.n_boxes == before.n_boxes
