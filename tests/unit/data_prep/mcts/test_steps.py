import pytest
from hypothesis import given
from hypothesis import strategies as st
from processor_time import assert_quick

from data_prep.mcts.coordinates import Convention, Frame
from data_prep.mcts.steps import MAX_REPLY, BadReply, Step, map_boxes, read_step
from easyr1_fgrpo.rewards.response import parse_response

FRAME = Frame((200, 100), (400, 200), Convention.PIXELS)  # the teacher sees twice the size


def thought(text):
    return f"<think>{text}</think>"


def test_steps_are_read():
    for reply, step in [
        (thought("A cup <bbox>[20, 30,40,50]</bbox>."), Step(text="A cup <bbox>[10,15,20,25]</bbox>.")),
        ("A cup <bbox>[20,30,41,50]</bbox>.", Step(text="A cup <bbox>[10,15,20.5,25]</bbox>.")),
        ("<think>\n A\ncup  <bbox>[20,30,40,50]</bbox>", Step(text="A cup <bbox>[10,15,20,25]</bbox>")),
        (thought("So left.") + "\n<answer> Left </answer>\n", Step(text="So left.", answer="Left")),
        ("<answer>3</answer>", Step(text="", answer="3")),
        (
            thought("2 < 3, as <bbox>[0,0,400,200]</bbox> shows.") + "<answer>3</answer>",
            Step(text="2 < 3, as <bbox>[0,0,200,100]</bbox> shows.", answer="3"),
        ),
        (thought("Over the edge <bbox>[-4,2,404,200]</bbox>."), Step(text="Over the edge <bbox>[0,1,200,100]</bbox>.")),
    ]:
        assert read_step(reply, FRAME) == step, reply


def test_what_is_no_step_says_why(subtests):
    for reply, reason in [
        ("", "empty"),
        (" \n", "empty"),
        ("x" * (MAX_REPLY + 1), "too long"),
        ("x" * 200_000, "too long"),
        (thought("I think so."), "holds no box"),
        (thought("A cup <bbox>[1,2,3]</bbox>."), "holds a box that is none"),
        (thought("A cup <bbox>1 2 3 4</bbox>."), "holds a box that is none"),
        (thought("A cup <bbox>[1,2,nan,4]</bbox>."), "holds a box that is none"),
        (thought("A cup <bbox>[5,2,5,4]</bbox>."), "holds a box without area"),
        (thought("A cup <bbox>[9,2,5,4]</bbox>."), "holds a box without area"),
        (thought("A cup <bbox>[10,10,900,60]</bbox>."), "holds a box outside of the picture"),
        (thought("A cup <bbox>[10,10,90,60]."), "holds markup that is no box"),
        (thought("<image> <bbox>[10,10,90,60]</bbox>."), "holds markup that is no box"),
        (thought("<|im_end|> <bbox>[10,10,90,60]</bbox>."), "holds markup that is no box"),
        (thought("a <bbox>[10,10,90,60]</bbox>") * 2, "holds markup that is no box"),
        (thought("zero\u200bwidth <bbox>[10,10,90,60]</bbox>"), "holds hidden characters"),
        (thought("\ud800 <bbox>[10,10,90,60]</bbox>"), "holds hidden characters"),
        (thought("<bbox>[10,10,90,60]</bbox>" * 9), "holds too many boxes"),
        (thought("So left.") + "<answer> !? </answer>", "answers nothing"),
        (thought("So left.") + "<answer>left</answer> Or so?", "holds markup that is no box"),
        (thought("So left.") + "<answer>a</answer><answer>b</answer>", "holds markup that is no box"),
    ]:
        with subtests.test(reply=reply), pytest.raises(BadReply, match=reason):
            read_step(reply, FRAME)


PIECES = [
    "<think>",
    "</think>",
    "<answer>",
    "</answer>",
    "<bbox>",
    "</bbox>",
    "[1,2,30,40]",
    "[",
    "left",
    " ",
    "<image>",
]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=12).map("".join))
def test_any_text_is_a_clean_step_or_refused(reply):
    try:
        step = read_step(reply, FRAME)
    except BadReply:
        return
    parsed = parse_response(f"<think>{step.text or 'x'}</think><answer>{step.answer or 'x'}</answer>")
    assert parsed.well_formed
    assert parsed.boxes == step.boxes
    assert step.boxes or step.answer
    assert all(0 <= x1 < x2 <= 200 and 0 <= y1 < y2 <= 100 for x1, y1, x2, y2 in step.boxes)
    assert "<image>" not in step.text


def test_reading_hostile_text_is_quick():
    def read():
        for piece in PIECES:
            with pytest.raises(BadReply):
                read_step((piece * MAX_REPLY)[:MAX_REPLY] + "<", FRAME)

    assert_quick(read, seconds=1.0)


def test_steps_are_the_same_by_their_boxes_and_answers_by_their_normal_form():
    assert Step(text="A <bbox>[1,2,3.2,4]</bbox>").identity == Step(text="The cup <bbox>[1,2,3,4]</bbox>.").identity
    assert Step(text="A <bbox>[1,2,3,4]</bbox>").identity != Step(text="A <bbox>[1,2,3,5]</bbox>").identity
    assert Step(text="So.", answer="Left.").identity == Step(text="", answer="left").identity
    one = "A <bbox>[1,2,3,4]</bbox>"
    assert Step(text=one).identity != Step(text=one + one.replace("1", "0")).identity


def test_boxes_that_vanish_when_written_smaller():
    with pytest.raises(BadReply, match="without area"):
        map_boxes("A <bbox>[1.2,2,1.4,4]</bbox>", lambda box: tuple(map(round, box)))
