import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easyr1_fgrpo.report.traces.view import matched_pairs, trace_view, visible
from easyr1_fgrpo.rewards import parse_response, spatial_score, split_sentences
from easyr1_fgrpo.traces import SentenceRecord, SignalRecord, TraceRecord, VerdictRecord

from .. import hostile

RESPONSE = (
    "<think>The cube is at <bbox>[0,0,10,10]</bbox>. Let me think. It is red <bbox>[1,1,4,4],[5,5,9,9]</bbox>! "
    "It is 😀 big.</think><answer>left</answer>"
)


def record(response, verdicts=None, **fields):
    """The record of a response; `verdicts` of its sentences in order, None where nobody was asked."""
    parsed = parse_response(response)
    sentences = split_sentences(parsed.trace or "")
    judged = [
        SentenceRecord(text=item.text, start=item.start, end=item.end, trivial=item.trivial, verdict=verdict)
        for item, verdict in zip(sentences, verdicts or [], strict=True)
    ] if verdicts is not None else []  # fmt: skip
    known = {
        "split": "train", "step": 1, "index": 2, "session": 0, "question": "Where?", "choices": ("left", "right"),
        "ground_truth": "left", "signals": {"accuracy": SignalRecord(value=1.0)}, "sentences": judged,
        "response": response, "trace": parsed.trace, "answer": parsed.answer, "boxes": parsed.boxes,
        "n_boxes": parsed.n_boxes,
    }  # fmt: skip
    return TraceRecord(**(known | fields))


def said(label, text=""):
    return VerdictRecord(judge="oracle", label=label, text=text)


def test_sentences_have_their_states_boxes_and_the_judges_words():
    failed = VerdictRecord(judge="oracle", failure="deadline", cause="60 s are over")
    view = trace_view(record(RESPONSE, [said("CORRECT", "I see it"), None, said("INCORRECT"), failed]))
    sentences = [part for part in view["parts"] if "state" in part]
    assert [part["state"] for part in sentences] == ["grounded", "skipped", "ungrounded", "unjudged"]
    assert [part["boxes"] for part in sentences] == [[0], [], [1, 2], []]
    assert [part["word"] for part in sentences] == ["CORRECT", "", "INCORRECT", "no verdict: deadline"]
    assert [part["note"] for part in sentences][0::3] == ["I see it", "60 s are over"]


def test_a_skip_of_the_judge_is_skipped():
    assert trace_view(record("<think>A cat.</think>", [said("SKIP")]))["parts"][1]["state"] == "skipped"


def test_without_the_grounding_judge_sentences_are_not_judged_and_still_have_their_boxes():
    sentences = [part for part in trace_view(record(RESPONSE))["parts"] if "state" in part]
    assert [part["state"] for part in sentences] == ["unjudged", "skipped", "unjudged", "unjudged"]
    assert [part["boxes"] for part in sentences] == [[0], [], [1, 2], []]


def test_conclusion():
    for verdict, state in [
        (said("YES"), "consistent"),
        (said("NO"), "inconsistent"),
        (said("UNCERTAIN"), "inconsistent"),
        (VerdictRecord(judge="j", failure="invalid"), "unjudged"),
        (None, "unjudged"),
    ]:
        assert trace_view(record(RESPONSE, consistency=verdict))["conclusion"]["state"] == state, verdict


def test_an_answer_that_was_not_measured_is_neither_right_nor_wrong():
    signals = {"accuracy": SignalRecord(value=None, reason="REWARD_FAILED")}
    view = trace_view(record(RESPONSE, signals=signals))
    assert view["correct"] is None
    assert view["signals"] == {"accuracy": "reward_failed"}


@given(st.text() | st.lists(st.sampled_from([*hostile.TEXTS, RESPONSE, "<think>", "</think>", ". "])).map("".join))
def test_the_parts_are_the_whole_response(text):
    kept = hostile.encodable(text)
    view = trace_view(record(kept))
    assert "".join(part["text"] for part in view["parts"]) == visible(kept)
    numbered = [box for part in view["parts"] for box in part.get("boxes", [])]
    assert numbered == list(range(len(view["boxes"])))


def test_a_trace_of_another_grammar_stands_before_its_response():
    view = trace_view(record(RESPONSE, trace="The cube is red.", boxes=((0.0, 0.0, 5.0, 5.0),), sentences=()))
    assert view["parts"][0]["text"] == "The cube is red."
    assert view["parts"][0]["boxes"] == []
    assert view["parts"][-1]["text"].endswith(RESPONSE)


def test_pairs_by_hand():
    # The second box lies on the first reference; the first is 10 x 10 in a 10 x 20 reference: IoU 1/2, centres 5 apart
    # in a hull of 10 x 20, v = (2/pi (atan 1 - atan 1/2))^2.
    pairs = matched_pairs([(0, 0, 10, 10), (50, 50, 60, 60)], [(50, 50, 60, 60), (0, 0, 10, 20)])
    assert [pair[:2] for pair in pairs] == [(0, 1), (1, 0)]
    assert pairs[1][2] == pytest.approx(1.0)
    v = 0.041957
    assert pairs[0][2] == pytest.approx(0.5 - 25 / 500 - v * v / (0.5 + v), abs=1e-5)


def test_boxes_that_only_lie_apart_are_no_pair():
    assert matched_pairs([(0, 0, 1, 1)], [(90, 90, 99, 99)]) == []
    assert matched_pairs([], [(0, 0, 1, 1)]) == []


boxes = st.lists(
    st.tuples(*[st.integers(0, 40).map(float)] * 4).map(lambda box: (*box[:2], box[0] + box[2], box[1] + box[3])),
    min_size=1,
    max_size=6,
)


@given(boxes, boxes)
def test_pairs_add_up_to_the_spatial_signal(predicted, reference):
    total = sum(score for _, _, score in matched_pairs(predicted, reference))
    assert total / max(len(predicted), len(reference)) == pytest.approx(spatial_score(predicted, reference), abs=1e-12)


def test_hidden_characters_are_written_out():
    assert visible("a\u202eb\u2066\x00\x1b") == "a⟨U+202E⟩b⟨U+2066⟩⟨U+0000⟩⟨U+001B⟩"
    assert visible("línea\n\tشكرا 👩‍👧") == "línea\n\tشكرا 👩‍👧"


def test_hostile_records_become_json():
    for number in range(len(hostile.TEXTS)):
        view = trace_view(hostile.record(number))
        assert json.loads(json.dumps(view, allow_nan=False))["index"] == number, number
