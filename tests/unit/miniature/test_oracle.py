import asyncio
import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from easyr1_fgrpo.judges.protocol import LABELS, Failure, Judge, JudgeRequest, Label, Question
from easyr1_fgrpo.miniature import language, teacher
from easyr1_fgrpo.miniature.oracle import OracleJudge, judge_consistency, judge_grounding
from easyr1_fgrpo.miniature.render import fingerprint, png, render
from easyr1_fgrpo.miniature.scene import COLOURS, OPPOSITE, SHAPES, Relation, Thing
from easyr1_fgrpo.miniature.worlds.one_step import draw_example
from easyr1_fgrpo.rewards.response import parse_response
from easyr1_fgrpo.rewards.sentences import split_sentences

SCENE = (
    Thing("red", "circle", (0, 0, 28, 28)),
    Thing("blue", "square", (56, 0, 70, 14)),
    Thing("green", "triangle", (28, 56, 49, 77)),
)
ASKED = "Is red left or right of blue?\nA. left\nB. right"
LEFT = "The red circle is left of the blue square."
RIGHT = "The red circle is right of the blue square."


def test_consistency():
    for trace, answer, label in [
        (f"{LEFT} So the answer is left.", "left", Label.YES),
        (f"{RIGHT} So the answer is right.", "right", Label.YES),  # false but consistent
        (f"{LEFT} So the answer is left.", "right", Label.NO),
        (f"{LEFT} So the answer is right.", "right", Label.NO),  # the last relation speaks against it
        (f"{LEFT} {RIGHT} So the answer is right.", "right", Label.YES),  # only the last relation counts
        ("So the answer is left. Wait. So the answer is right.", "right", Label.YES),
        ("So the answer is left.", "left", Label.YES),
        ("So the answer is left.", " Left. ", Label.YES),
        (LEFT, "left", Label.YES),  # a relation is a conclusion where none is drawn
        (LEFT, "right", Label.NO),
        ("The blue square is right of the red circle.", "left", Label.YES),  # the same, seen from the other side
        ("The blue square is right of the red circle. So the answer is right.", "right", Label.NO),
        ("The red circle is left of the green triangle. So the answer is right.", "right", Label.YES),  # not asked
        ("The red circle is above the blue square. So the answer is right.", "right", Label.YES),  # another axis
        ("The red circle is above the blue square.", "right", Label.NO),
        ("The red circle is at <bbox>[0,0,28,28]</bbox>.", "left", Label.UNCERTAIN),
        ("So the answer is unclear.", "left", Label.UNCERTAIN),
        (f"{LEFT} So the answer is unclear.", "left", Label.UNCERTAIN),
        ("", "left", Label.UNCERTAIN),
        ("So the answer is left.", "", Label.NO),
    ]:
        assert judge_consistency(ASKED, trace, answer) is label, (trace, answer, label)


def test_consistency_knows_the_asked_pair_from_the_question_only():
    trace = f"{LEFT} So the answer is right."
    assert judge_consistency(ASKED, trace, "right") is Label.NO
    assert judge_consistency("Is green left or right of blue?", trace, "right") is Label.YES


def test_grounding():
    for claim, label in [
        ("The red circle is at <bbox>[0,0,28,28]</bbox>.", Label.CORRECT),
        ("The red circle is at <bbox>[0,0,28,14]</bbox>.", Label.CORRECT),  # IoU 392/784 = .5 exactly
        ("The red circle is at <bbox>[0,0,28,13]</bbox>.", Label.INCORRECT),  # 364/784 = .46
        ("The red circle is at <bbox>[28,28,0,0]</bbox>.", Label.INCORRECT),  # reversed
        ("The red circle is at <bbox>[0.0, 0.0, 28.0, 28.0]</bbox>", Label.CORRECT),
        ("The red square is at <bbox>[0,0,28,28]</bbox>.", Label.INCORRECT),  # no red square
        ("The purple circle is at <bbox>[0,0,28,28]</bbox>.", Label.INCORRECT),
        ("The red circle is at <bbox>[0,0,28]</bbox>.", Label.INCORRECT),
        (LEFT, Label.CORRECT),
        (RIGHT, Label.INCORRECT),
        ("So the red circle is left of the blue square.", Label.CORRECT),
        ("The red circle is left of the blue square, so the answer is left.", Label.CORRECT),
        ("The red circle is right of the blue square, so the answer is left.", Label.INCORRECT),
        ("The red circle is nearer than the blue square.", Label.CORRECT),
        ("The red circle is below the blue square.", Label.CORRECT),  # centres at 14 and 7, y grows downwards
        ("The red circle is above the blue square.", Label.INCORRECT),
        ("The red circle is left of the blue circle.", Label.INCORRECT),
        ("So the answer is left.", Label.SKIP),
        ("I think the answer is left.", Label.SKIP),
        ("Let me look at the picture.", Label.SKIP),
        ("", Label.SKIP),
        ("...", Label.SKIP),
        ("left left left.", Label.INCORRECT),  # visual words that claim nothing to be seen
        ("The red circle is not left of the blue square.", Label.INCORRECT),
    ]:
        assert judge_grounding(SCENE, "", claim) is label, claim


def test_repetition_is_skipped():
    assert judge_grounding(SCENE, f"{LEFT} Wait.", LEFT) is Label.SKIP
    assert judge_grounding(SCENE, RIGHT, LEFT) is Label.CORRECT


@given(st.integers(0, 2**32 - 1))
def test_the_oracle_reads_every_trace_of_the_teacher_rightly(seed):
    rng = np.random.default_rng(seed)
    example = draw_example(rng)
    response = parse_response(teacher.noisy_response(example, rng))
    sentences = [sentence.text for sentence in split_sentences(response.trace)]
    labels = [judge_grounding(example.scene, "", sentence) for sentence in sentences]
    claimed = next(r for r in Relation if sentences[-1] == language.conclusion(r))

    first, second = example.asked
    truths = [sentences[0] == language.box_sentence(first, first.box)]
    truths += [sentences[1] == language.box_sentence(second, second.box), claimed is example.answer]
    assert labels == [Label.CORRECT if true else Label.INCORRECT for true in truths] + [Label.SKIP]
    consistent = judge_consistency(example.question, response.trace, response.answer)
    assert consistent is (Label.YES if response.answer == claimed else Label.NO)


def test_a_clean_trace_is_consistent_and_true():
    example = draw_example(np.random.default_rng(0))
    response = parse_response(language.response(teacher.clean_trace(example), example.answer))
    question = example.question
    assert judge_consistency(question, response.trace, response.answer) is Label.YES
    assert judge_consistency(question, response.trace, OPPOSITE[example.answer]) is Label.NO


words = st.sampled_from(
    [
        *(
            *COLOURS,
            *SHAPES,
            *Relation,
            "The",
            "the",
            "is",
            "of",
            "than",
            "at",
            "So",
            "answer",
            ".",
            "<bbox>[",
            "]</bbox>",
        ),
        *("0", ",", "9" * 5000, "-1", "1e9", "nan", "inf", "²", "٣", "\x00", "\ud800"),
    ]
)
hostile = st.one_of(st.text(), st.lists(words).map(" ".join), st.lists(words).map("".join))


@given(hostile, hostile, hostile, hostile)
def test_any_text_gets_a_verdict(question, context, claim, answer):
    assert judge_consistency(question, context, answer) in LABELS[Question.CONSISTENCY]
    assert judge_grounding(SCENE, context, claim) in LABELS[Question.GROUNDING]


def test_long_text_costs_linear_time():
    long = "the red circle is " * 50_000
    assert judge_consistency(ASKED, long, "left") is Label.UNCERTAIN
    assert judge_grounding(SCENE, long, long[1:] + "x") is Label.INCORRECT


@pytest.fixture
def world(tmp_path):
    picture = render(SCENE, np.random.default_rng(0))
    things = [{"colour": thing.colour, "shape": thing.shape, "box": thing.box} for thing in SCENE]
    path = tmp_path / "scenes.jsonl"
    path.write_text(json.dumps({"picture": fingerprint(picture), "things": things}) + "\n")
    return path, picture


def ask(judge, **request):
    return asyncio.run(judge.ask(JudgeRequest(**request)))


def test_the_judge_finds_the_scene_by_its_pixels(world, tmp_path):
    path, picture = world
    judge = OracleJudge(path)
    assert isinstance(judge, Judge)
    (tmp_path / "elsewhere.png").write_bytes(png(picture))
    with Image.open(tmp_path / "elsewhere.png") as copy:
        verdict = ask(judge, kind=Question.GROUNDING, question=ASKED, images=(copy,), claim=LEFT)
    assert (verdict.label, verdict.judge, verdict.text) == (Label.CORRECT, "oracle", "CORRECT")


def test_consistency_needs_no_picture(world):
    verdict = ask(OracleJudge(str(world[0])), kind=Question.CONSISTENCY, question=ASKED, context=LEFT, answer="left")
    assert verdict.label is Label.YES


def test_an_unknown_picture_is_a_failure_and_no_guess(world):
    path, picture = world
    changed = picture.copy()
    changed.putpixel((0, 0), (1, 2, 3))
    for images in ((changed,), (picture.resize((42, 42)),), (), (picture, picture)):
        verdict = ask(OracleJudge(path), kind=Question.GROUNDING, question=ASKED, images=images, claim=LEFT)
        assert verdict.label is None
        assert verdict.failure is Failure.INVALID
        assert verdict.cause


def test_errors_are_the_opposite_as_often_as_asked_and_the_same_every_time(world):
    wrong, right = OracleJudge(world[0], error_rate=0.1), OracleJudge(world[0])
    asked = [
        {"kind": Question.CONSISTENCY, "question": ASKED, "context": f"{'Well. ' * number}{LEFT}", "answer": answer}
        for number in range(500)
        for answer in ("left", "right")
    ]
    labels, truths = ([ask(judge, **request).label for request in asked] for judge in (wrong, right))
    assert set(labels) == {Label.YES, Label.NO}
    # 1,000 draws at .1: four standard deviations are .038
    errors = sum(label is not truth for label, truth in zip(labels, truths, strict=True))
    assert 62 <= errors <= 138
    assert [ask(OracleJudge(world[0], error_rate=0.1), **request).label for request in asked] == labels


def test_one_sided_errors_are_a_share_of_what_they_can_strike(world):
    asked = [
        {"kind": Question.CONSISTENCY, "question": ASKED, "context": f"{'Well. ' * number}{LEFT}", "answer": answer}
        for number in range(500)
        for answer in ("left", "right")
    ]
    truths, either = (
        [ask(judge, **request).label for request in asked]
        for judge in (OracleJudge(world[0]), OracleJudge(world[0], error_rate=0.1, errors="both"))
    )
    for errors, struck in (("false_negatives", Label.YES), ("false_positives", Label.NO)):
        judge = OracleJudge(world[0], error_rate=0.1, errors=errors)
        labels = [ask(judge, **request).label for request in asked]
        wrong = [label is not truth for label, truth in zip(labels, truths, strict=True)]
        assert not any(error for error, truth in zip(wrong, truths, strict=True) if truth is not struck)
        # 500 draws at .1: four standard deviations are .054
        assert 23 <= sum(wrong) <= 77
        # the same requests as err on both sides
        assert wrong == [truth is struck and label is not truth for label, truth in zip(either, truths, strict=True)]


def test_one_sided_errors_of_sentences(world):
    path, picture = world
    for errors, of_true, of_false in (
        ("false_negatives", Label.INCORRECT, Label.INCORRECT),
        ("false_positives", Label.CORRECT, Label.CORRECT),
    ):
        judge = OracleJudge(path, error_rate=1.0, errors=errors)
        for claim, label in ((LEFT, of_true), (RIGHT, of_false), ("Hm.", Label.SKIP)):
            given = ask(judge, kind=Question.GROUNDING, question=ASKED, images=(picture,), claim=claim).label
            assert given is label, (errors, claim)
    with pytest.raises(ValueError, match=r"errors=yes: there are both, false_negatives, false_positives"):
        OracleJudge(path, errors="yes")
    with pytest.raises(ValueError, match=r"errors=false_negatives: nothing errs without an error_rate"):
        OracleJudge(path, errors="false_negatives")


def test_a_judge_that_always_errs_says_the_opposite_of_what_has_one(world):
    path, picture = world
    judge = OracleJudge(path, error_rate=1.0)
    for claim, label in ((LEFT, Label.INCORRECT), (RIGHT, Label.CORRECT), ("Hm.", Label.SKIP)):
        assert ask(judge, kind=Question.GROUNDING, question=ASKED, images=(picture,), claim=claim).label is label
    assert ask(judge, kind=Question.CONSISTENCY, question=ASKED, answer="left").label is Label.UNCERTAIN
    assert ask(judge, kind=Question.GROUNDING, question=ASKED, claim=LEFT).label is None
    with pytest.raises(ValueError, match=r"error_rate=1\.5: give a share of requests"):
        OracleJudge(path, error_rate=1.5)


@pytest.mark.parametrize("line", ["{", "[]", '{"picture": "a"}', '{"picture": "a", "things": [{"colour": "red"}]}'])
def test_a_broken_scene_file_is_named(tmp_path, line):
    path = tmp_path / "scenes.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(ValueError, match=r"scenes\.jsonl, line 1"):
        OracleJudge(path)


def test_the_oracle_stays_light():
    code = "import sys, easyr1_fgrpo.miniature.oracle, easyr1_fgrpo.miniature.build; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
