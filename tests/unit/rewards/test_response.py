import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from processor_time import assert_quick

from easyr1_fgrpo.chat_marks import without_end_tokens
from easyr1_fgrpo.rewards import MAX_BOXES, parse_response

from .hostile import box_tag, responses

GOOD = "<think>The cat is left.</think><answer>left</answer>"


def test_end_tokens_are_no_part_of_a_response():
    for end in [
        "<|im_end|>",
        "</s>",
        "<end_of_turn>\n",
        "<|im_end|>\n<|endoftext|>",
        "<｜end▁of▁sentence｜>",
        "<|eot_id|>",
    ]:
        assert parse_response(GOOD + end) == parse_response(GOOD), end
        assert without_end_tokens(f"B {end}") == "B"
    for text in ["<|im_end|>" + GOOD, GOOD + "<br>", GOOD + "<|im_end|>x", GOOD + "|>"]:
        assert not parse_response(text).well_formed, text
    assert parse_response(GOOD + "<|im_end|>\n<|im_start|>user\n<answer>right</answer>").answer == "left"
    assert without_end_tokens("a > b, <bbox>[1,2]</bbox>") == "a > b, <bbox>[1,2]</bbox>"
    assert without_end_tokens("<|im_end|>") == without_end_tokens("") == ""


def test_well_formed():
    for text in [GOOD, f" \n{GOOD}\n", GOOD.replace("><", ">\n\n<"), "<think>a\nb</think><answer>c</answer>"]:
        parsed = parse_response(text)
        assert parsed.well_formed, text
        assert parsed.parsable, text


def test_not_well_formed():
    for text in [
        "",
        "left",
        "x" + GOOD,
        GOOD + "x",
        GOOD.replace("><", "> so <"),
        GOOD + GOOD,
        GOOD + "<answer>left</answer>",
        "<think>" + GOOD,
        GOOD.replace("</answer>", ""),
        GOOD.replace("<think>", ""),
        GOOD.replace("</think>", ""),
        "<answer>left</answer><think>The cat is left.</think>",
        "<think><answer>left</answer></think>",
        "<think> </think><answer>left</answer>",
        "<think>The cat is left.</think><answer>\n</answer>",
        GOOD.upper(),
        GOOD.replace("<think>", "<think >"),
    ]:
        assert not parse_response(text).well_formed, text


def test_lenient_extraction():
    for text, trace, answer in [
        (GOOD, "The cat is left.", "left"),
        ("The cat.</think><answer>left</answer>", "The cat.", "left"),  # the template wrote <think>
        ("<think>The cat. <answer>left</answer>", "The cat.", "left"),
        ("<think>The cat is", "The cat is", None),  # truncated
        ("<think>The cat.</think><answer>le", "The cat.", None),
        ("<answer>left</answer>", None, "left"),
        ("The cat. <answer>left</answer>", None, "left"),
        ("<think>a</think><answer>b</answer> no <answer>c</answer>", "a", "c"),
        ("<think>a</think><answer>b<answer>c</answer></answer>", "a", "c"),
        ("<think>a<think>b</think>c</think><answer>d</answer>", "a<think>b</think>c", "d"),
        ("<think>a</think> between <think>b</think><answer>d</answer>", "a</think> between <think>b", "d"),
        ("<answer>a</answer><think>b</think>", None, "a"),  # reasons after the answer are none
        ("<think></think><answer></answer>", None, None),
        ("</think><think>a</think><answer>b</answer>", "a", "b"),
    ]:
        parsed = parse_response(text)
        assert (parsed.trace, parsed.answer) == (trace, answer), text


def boxes_of(trace):
    parsed = parse_response(f"<think>{trace}</think>")
    return list(parsed.boxes), parsed.n_boxes


def test_boxes():
    for trace, boxes, n_boxes in [
        ("none", [], 0),
        ("<bbox>[1,2,3,4]</bbox>", [(1, 2, 3, 4)], 1),
        ("<bbox> [ 1.5, -2, +3., .5 ] </bbox>", [(1.5, -2, 3, 0.5)], 1),
        ("<bbox>[[1,2,3,4],[5,6,7,8]]</bbox>", [(1, 2, 3, 4), (5, 6, 7, 8)], 2),
        ("<bbox>[1,2,3,4]</bbox> and <bbox>[5,6,7,8]</bbox>", [(1, 2, 3, 4), (5, 6, 7, 8)], 2),
        ("<bbox>[3,2,1,4]</bbox>", [], 1),
        ("<bbox>[1,4,3,2]</bbox>", [], 1),
        ("<bbox>[1,2,1,2]</bbox>", [(1, 2, 1, 2)], 1),  # no area, but a box
        ("<bbox>[1,2,3]</bbox>", [], 1),
        ("<bbox>[1,2,3,4,5]</bbox>", [], 1),
        ("<bbox>[nan,2,3,4]</bbox>", [], 1),
        ("<bbox>[1,2,inf,4]</bbox>", [], 1),
        ("<bbox>[1,2,1e3,4]</bbox>", [], 1),
        ("<bbox>[1,2,10000000,4]</bbox>", [], 1),
        (f"<bbox>[1,2,{'9' * 400},4]</bbox>", [], 1),
        ("<bbox></bbox>", [], 1),
        ("<bbox>1,2,3,4</bbox>", [], 1),
        ("<bbox>[1,2,3,4]", [], 1),  # not closed
        ("<bbox><bbox>[1,2,3,4]</bbox></bbox>", [(1, 2, 3, 4)], 2),
        ("<bbox>[1,2,3,4],[x]</bbox>", [(1, 2, 3, 4)], 2),
        ("[1,2,3,4]", [], 0),
    ]:
        assert boxes_of(trace) == (boxes, n_boxes), trace


def test_boxes_outside_the_trace_are_not_predictions():
    assert parse_response("<think>a</think><answer><bbox>[1,2,3,4]</bbox></answer>").n_boxes == 0


def test_boxes_past_the_limit_count():
    boxes, n_boxes = boxes_of("<bbox>[1,2,3,4]</bbox>" * 10_000)
    assert (len(boxes), n_boxes) == (MAX_BOXES, 10_000)


@given(responses)
def test_any_text_parses(text):
    parsed = parse_response(text)
    assert 0 <= len(parsed.boxes) <= parsed.n_boxes
    assert all(math.isfinite(v) for box in parsed.boxes for v in box)
    assert all(x1 <= x2 and y1 <= y2 for x1, y1, x2, y2 in parsed.boxes)
    assert parsed.trace is None or (parsed.trace and parsed.trace in text)
    assert parsed.answer is None or (parsed.answer and parsed.answer in text)
    assert parsed.parsable or not parsed.well_formed


@given(st.lists(box_tag, max_size=5).map(" ".join))
def test_every_tag_counts(trace):
    assert boxes_of(trace)[1] >= trace.count("<bbox>")


@pytest.mark.parametrize(
    "text",
    [
        "<think>" * 15_000,
        "<answer>" * 12_000 + "</answer>" * 3_000,
        "<think>" + "<bbox>" * 17_000,
        "<think>" + "<bbox>[" * 14_000,
        "<think><bbox>[" + "[" * 100_000 + "</bbox>",
        "<think><bbox>[" + "1" * 100_000 + "x,2,3,4]</bbox>",
        "<think><bbox>[" + " " * 100_000 + "]</bbox>",
        "<think>" + " " * 100_000 + "x",
        "<|im_end|> \n" * 8_000,
        "x" + "<|" * 50_000 + ">",
    ],
    ids=lambda text: text[:20],
)
def test_hostile_text_takes_linear_time(text):
    assert_quick(lambda: parse_response(text), seconds=1.0)  # about 10 ms; a quadratic pattern takes minutes
