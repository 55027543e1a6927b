from case_tables import read_cases
from hypothesis import given, settings
from hypothesis import strategies as st
from processor_time import assert_linear, assert_quick

from easyr1_fgrpo.rewards import is_trivial, split_sentences
from easyr1_fgrpo.rewards.sentence_ends import sentence_spans

from .hostile import any_text, tag_soup


def texts(trace):
    return [sentence.text for sentence in split_sentences(trace)]


def test_box_tags_and_decimals_stay_whole():
    trace = "The red circle is at <bbox>[1.5, 2. 0! Oh? 30]</bbox>. It is 3.5 cm wide! Is it left? Yes"
    assert texts(trace) == [
        "The red circle is at <bbox>[1.5, 2. 0! Oh? 30]</bbox>.",
        "It is 3.5 cm wide!",
        "Is it left?",
        "Yes",
    ]


def test_reported_cases(subtests):
    for case in read_cases("sentences"):
        with subtests.test(trace=case["input"]):
            assert texts(case["input"]) == case["expected"]


def test_sentences_of_a_detokenised_trace():
    trace = "the red circle is at <bbox>[1,2,3,4]</bbox> . the red circle is left of it . so the answer is left ."
    assert len(texts(trace)) == 3


def test_line_breaks_end_a_sentence():
    assert texts("Objects:\n- red cup\n\n- blue cup\r\nend") == ["Objects:", "- red cup", "- blue cup", "end"]


def test_full_width_stops_end_a_sentence():
    assert texts("红色的。在左边！“是”吗？end") == ["红色的。", "在左边！", "“是”吗？", "end"]


def test_any_white_space_parts_sentences():
    for space in "\u00a0\u2028\u3000\x85":
        assert texts(f"It is “left.”{space}Élan is red.{space}Élan is blue.") == [
            "It is “left.”",
            "Élan is red.",
            "Élan is blue.",
        ]


def test_empty_traces():
    assert texts("") == texts(" \n\t ") == []


def test_a_lone_full_width_stop_is_kept():
    assert texts("！\n？a") == ["！", "？", "a"]


def test_trivial():
    for sentence in [
        "Let me think.",
        "let's see what to do step by step...".replace("see", "work out"),
        "Therefore, it follows.",
        "Wait.",
        "- Wait, this is wrong.",
        "Hmm...",
        "So the answer is yes.",
        "2.",
        "3.5 + 2 = 5.5",
        *("**", "---", "A.", "```", "```python", "|---|---|"),
        *("[10, 20, 30, 40]", "<bbox>[1,2,3,4]</bbox>, <box>[1,2,3,4]</box>.", "- <|box_start|>(1,2),(3,4)<|box_end|>"),
        "...",
    ]:
        assert is_trivial(sentence), sentence


def test_not_trivial():
    for sentence in [
        "The zebra runs.",  # no opening: the judge decides
        "Wait, the cup is red.",
        "Therefore the circles touch.",
        "Let me look at <bbox>[1,2,3,4]</bbox>.",
        *("So [10, 20, 30, 40]", '{"bbox_2d": [1,2,3,4], "label": "cup"}'),
        "So the answer is left.",
        "First, there is a zebra.",
        "Sofa legs.",
        "Thusly zebra.",
        "红色的。",
    ]:
        assert not is_trivial(sentence), sentence


pieces = st.lists(
    st.sampled_from(
        [
            *(
                "1. ",
                "2. ",
                "a cup",
                "The cup. ",
                "approx. ",
                "3 m",
                "<bbox>[1,2,3,4]</bbox>",
                "[1, 2]",
                "(1, 2)",
                "… ",
                "\n",
            ),
            *("Step ", "Fig. ", "and ", ", ", "**", "A. ", "**。** ", "3 m. The ", "Dr. ", "“A.” ", "é. ", " "),
        ]
    ),
    max_size=12,
).map("".join)


@settings(max_examples=200)
@given(st.one_of(any_text, tag_soup, pieces))
def test_the_spans_of_sentences_are_the_trace_but_for_line_breaks(trace):
    end = 0
    for start, stop in [*sentence_spans(trace), (len(trace), len(trace))]:
        assert start >= end
        assert not trace[end:start].strip("\n\r")
        end = stop


@settings(max_examples=200)
@given(st.one_of(any_text, tag_soup, pieces))
def test_offsets_cover_every_visible_character(trace):
    sentences = split_sentences(trace)
    end = 0
    for sentence in sentences:
        assert trace[sentence.start : sentence.end] == sentence.text == sentence.text.strip() != ""
        assert trace[end : sentence.start].strip() == ""
        end = sentence.end
    assert trace[end:].strip() == ""


def test_hostile_text_takes_bounded_time():
    for unit in [
        "红。",
        "Aa. ",
        "'a'. ",
        "x\n",
        "Wait ",
        '"(a. ',
        "[ ",
        "A\u2028. ",
        "<bbox>[1,2,3,4]</bbox>. ",
        "1. ",
        "(1,2). ",
        "Step 1. ",
        "[1] A. ",
    ]:
        trace = unit * (100_000 // len(unit))
        assert_quick(lambda trace=trace: split_sentences(trace), seconds=4.0)  # 0.02 to 0.5 s
    for unit in ["`", "'", "-", "*", ". * ", "红。**", "{bbox", "A. "]:
        assert_linear(split_sentences, unit * (50_000 // len(unit)))
