import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from easyr1_fgrpo.judges.protocol import Label
from easyr1_fgrpo.miniature import language, teacher
from easyr1_fgrpo.miniature.build import build
from easyr1_fgrpo.miniature.oracle import judge_consistency, judge_grounding
from easyr1_fgrpo.miniature.scene import OPPOSITE, Axis, Relation, Thing, holds
from easyr1_fgrpo.miniature.worlds import two_step, world_of
from easyr1_fgrpo.miniature.worlds.two_step import CONFLICT, FLIP, QUESTIONS, WRONG_PICK, TwoStep, ask, draw_example
from easyr1_fgrpo.rewards.response import parse_response
from easyr1_fgrpo.rewards.sentences import split_sentences

seeds = st.integers(0, 2**32 - 1)

# Red is big and top left, blue small and in the middle row right, green bottom middle.
SCENE = (
    Thing("red", "circle", (0, 0, 28, 28)),
    Thing("blue", "square", (56, 28, 70, 42)),
    Thing("green", "triangle", (28, 56, 49, 77)),
    Thing("yellow", "circle", (56, 0, 77, 21)),
)
RED, BLUE, GREEN = (
    "The red is at <bbox>[0,0,28,28]</bbox>.",
    "The blue is at <bbox>[56,28,70,42]</bbox>.",
    "The green is at <bbox>[28,56,49,77]</bbox>.",
)
QUESTION = "Of the red and the blue, is the nearer one left or right of the green?\nA. left\nB. right"


def test_the_four_questions_by_hand():
    for kind, question, pick, place, answer in [
        (
            "nearer_horizontal",
            "Of the red and the blue, is the nearer one left or right of the green?",
            "The red is nearer than the blue.",
            "The red is left of the green.",
            "left",
        ),
        (
            "farther_horizontal",
            "Of the red and the blue, is the farther one left or right of the green?",
            "The blue is farther than the red.",
            "The blue is right of the green.",
            "right",
        ),
        (
            "nearer_vertical",
            "Of the red and the blue, is the nearer one above or below the green?",
            "The red is nearer than the blue.",
            "The red is above the green.",
            "above",
        ),
        (
            "farther_vertical",
            "Of the red and the blue, is the farther one above or below the green?",
            "The blue is farther than the red.",
            "The blue is above the green.",
            "above",
        ),
    ]:
        example = ask(SCENE, kind)
        assert (example.type, example.question, example.answer) == (kind, question, answer), kind
        assert teacher.clean_trace(example) == [RED, BLUE, pick, GREEN, place, f"So the answer is {answer}."], kind
        assert world_of(question) is two_step, kind


def test_conflict_by_hand():
    assert two_step.in_conflict(ask(SCENE, "nearer_horizontal"))
    assert not two_step.in_conflict(ask(SCENE, "nearer_vertical"))


NEARER_RED, NEARER_BLUE = "The red is nearer than the blue.", "The blue is nearer than the red."
RED_LEFT, RED_RIGHT, BLUE_LEFT = (
    "The red is left of the green.",
    "The red is right of the green.",
    "The blue is left of the green.",
)


def test_consistency():
    for trace, answer, label in [
        (f"{NEARER_RED} {RED_LEFT} So the answer is left.", "left", Label.YES),
        (f"{NEARER_RED} {RED_RIGHT} So the answer is right.", "right", Label.YES),  # false but consistent
        (f"{NEARER_RED} {RED_LEFT} So the answer is left.", "right", Label.NO),
        (f"{NEARER_RED} {RED_LEFT} So the answer is right.", "right", Label.NO),  # the relation speaks against it
        (f"{NEARER_BLUE} {RED_LEFT} So the answer is left.", "left", Label.NO),  # not about the one it picked
        (f"{NEARER_BLUE} {BLUE_LEFT} So the answer is left.", "left", Label.YES),
        ("The blue is farther than the red. " + RED_LEFT + " So the answer is left.", "left", Label.YES),  # picks red
        ("The blue is farther than the red. " + BLUE_LEFT + " So the answer is left.", "left", Label.NO),
        (f"{NEARER_RED} The green is right of the red. So the answer is left.", "left", Label.YES),  # the other side
        (f"{NEARER_BLUE} {NEARER_RED} {BLUE_LEFT} {RED_LEFT} So the answer is left.", "left", Label.YES),  # the last
        (f"{NEARER_RED} {RED_LEFT} {BLUE_LEFT} So the answer is left.", "left", Label.NO),
        (f"{NEARER_RED} {RED_LEFT}", "left", Label.YES),  # a relation is a conclusion where none is drawn
        (f"{NEARER_RED} {RED_LEFT}", "right", Label.NO),
        (f"{NEARER_RED} So the answer is left.", "left", Label.UNCERTAIN),  # no relation to green
        (f"{RED_LEFT} So the answer is left.", "left", Label.UNCERTAIN),  # nothing picked
        ("So the answer is left.", "left", Label.UNCERTAIN),
        ("So the answer is left.", "right", Label.NO),
        (f"{NEARER_RED} {RED_LEFT} So the answer is unclear.", "left", Label.UNCERTAIN),
        (f"{NEARER_RED} The red is above the green. So the answer is left.", "left", Label.NO),  # argues for "above"
        ("The red is left of the blue. " + RED_LEFT + " So the answer is left.", "left", Label.UNCERTAIN),
        ("", "left", Label.UNCERTAIN),
        (f"{NEARER_RED} {RED_LEFT} So the answer is left.", "", Label.NO),
    ]:
        assert judge_consistency(QUESTION, trace, answer) is label, (trace, answer, label)


def test_the_pick_depends_on_what_is_wanted():
    trace = f"{NEARER_RED} {BLUE_LEFT} So the answer is left."
    assert judge_consistency(QUESTION, trace, "left") is Label.NO
    assert judge_consistency(QUESTIONS["farther_horizontal"], trace, "left") is Label.YES


def test_grounding():
    for claim, label in [
        (RED, Label.CORRECT),
        (RED_LEFT, Label.CORRECT),
        (RED_RIGHT, Label.INCORRECT),
        (NEARER_RED, Label.CORRECT),
        (NEARER_BLUE, Label.INCORRECT),
        ("The blue is at <bbox>[0,0,28,28]</bbox>.", Label.INCORRECT),
        ("The purple is at <bbox>[0,0,28,28]</bbox>.", Label.INCORRECT),
        ("The red circle is at <bbox>[0,0,28,28]</bbox>.", Label.INCORRECT),  # nobody speaks of shapes here
        ("The red is r\u0131ght of the green.", Label.INCORRECT),  # a dotless i only looks like one
        ("So the answer is left.", Label.SKIP),
    ]:
        spoken = ask(SCENE, "nearer_horizontal").spoken
        assert judge_grounding(spoken, "", claim) is label, claim


def labels_of(example, trace):
    sentences = [sentence.text for sentence in split_sentences(" ".join(trace))]
    grounding = [judge_grounding(example.spoken, " ".join(sentences[:n]), text) for n, text in enumerate(sentences)]
    return grounding, judge_consistency(example.question, " ".join(trace), example.answer)


@given(seeds)
def test_a_clean_trace_is_consistent_and_true(seed):
    example = draw_example(np.random.default_rng(seed))
    assert labels_of(example, teacher.clean_trace(example)) == ([Label.CORRECT] * 5 + [Label.SKIP], Label.YES)


@given(seeds, st.integers(0, 2))
def test_a_wrong_box_is_refused(seed, number):
    rng = np.random.default_rng(seed)
    example = draw_example(rng)
    thing = example.asked[number]
    boxes = {item: item.box for item in example.asked} | {thing: teacher._wrong_box(thing.box, rng)}
    grounding, consistent = labels_of(example, language.trace(example.asked, example.steps, boxes))
    place = (0, 1, 3)[number]
    assert [label is Label.INCORRECT for label in grounding] == [at == place for at in range(6)]
    assert consistent is Label.YES


@given(seeds)
def test_a_wrong_pick_is_refused(seed):
    example = draw_example(np.random.default_rng(seed))
    pick, place = example.steps
    flipped = language.trace(example.asked, [pick.flipped(), place])
    grounding, consistent = labels_of(example, flipped)
    assert grounding[2] is Label.INCORRECT
    assert grounding.count(Label.INCORRECT) == 1
    assert consistent is Label.NO  # it speaks of the one that it did not pick


@given(seeds)
def test_a_false_relation_is_refused(seed):
    example = draw_example(np.random.default_rng(seed))
    trace = teacher.clean_trace(example)
    flipped = example.steps[1].flipped()
    trace[4] = language.relation_sentence(flipped.first, flipped.relation, flipped.second)
    grounding, consistent = labels_of(example, trace)
    assert [at for at, label in enumerate(grounding) if label is Label.INCORRECT] == [4]
    assert consistent is Label.NO


@given(seeds)
def test_a_conclusion_or_an_answer_that_does_not_follow_is_refused(seed):
    example = draw_example(np.random.default_rng(seed))
    trace = teacher.clean_trace(example)
    assert judge_consistency(example.question, " ".join(trace), OPPOSITE[example.answer]) is Label.NO
    trace[-1] = language.conclusion(OPPOSITE[example.answer])
    assert labels_of(example, trace) == ([Label.CORRECT] * 5 + [Label.SKIP], Label.NO)


@given(seeds, st.integers(0, 5))
def test_a_missing_step_is_not_consistent(seed, number):
    example = draw_example(np.random.default_rng(seed))
    trace = teacher.clean_trace(example)
    del trace[number]
    expected = Label.UNCERTAIN if number in (2, 4) else Label.YES  # boxes and conclusion may be left out
    assert judge_consistency(example.question, " ".join(trace), example.answer) is expected


@given(seeds)
def test_scenes_are_clear_and_answers_hold(seed):
    example = draw_example(np.random.default_rng(seed))
    red, blue, green = example.asked
    picked = red if holds(red, example.wanted, blue) else blue
    assert holds(picked, example.wanted, blue if picked == red else red)
    assert holds(picked, example.answer, green)
    assert not holds(picked, OPPOSITE[example.answer], green)
    assert len({thing.colour for thing in example.scene}) == 4
    assert all(thing.shape for thing in example.scene)
    assert not any(thing.shape for thing in example.spoken)


def close(observed, expected):
    """Within five standard deviations of a binomial share."""
    return abs(np.mean(observed) - expected) < 5 * np.sqrt(expected * (1 - expected) / len(observed))


def test_types_are_equally_frequent_and_half_of_the_scenes_are_in_conflict():
    rng = np.random.default_rng(0)
    drawn = [draw_example(rng) for _ in range(1500)]
    assert close([two_step.in_conflict(example) for example in drawn], CONFLICT)
    for kind in QUESTIONS:
        of_kind = [example for example in drawn if example.type == kind]
        assert close([example.type == kind for example in drawn], 1 / 4), kind
        assert close([two_step.in_conflict(example) for example in of_kind], CONFLICT), kind
        first, _ = of_kind[0].choices
        assert close([example.answer is first for example in of_kind], 1 / 2), kind


def test_the_noise_has_the_stated_rates():
    rng = np.random.default_rng(0)
    picks, boxes, saved, kept = [], [], [], []
    flips = {axis: [] for axis in FLIP}
    for _ in range(2000):
        example = draw_example(rng)
        response = parse_response(teacher.noisy_response(example, rng))
        assert response.well_formed
        first = re.search(rf"The (red|blue) is {example.wanted} than", response.trace)[1]
        picked, green = next(thing for thing in example.asked if thing.colour == first), example.asked[2]
        concluded = Relation(re.search(r"So the answer is (\w+)\.", response.trace)[1])
        assert f"The {first} is {language.LINK[concluded]} the green." in response.trace
        picks.append(first != example.steps[0].first.colour)
        flips[example.axis].append(not holds(picked, concluded, green))
        boxes += [tuple(map(int, b)) != t.box for b, t in zip(response.boxes, example.asked, strict=True)]
        if concluded is example.answer:
            kept.append(response.answer != example.answer)
        else:
            saved.append(response.answer == example.answer)
    noise = TwoStep.noise
    assert close(picks, WRONG_PICK)
    assert close(boxes, noise.wrong_box)
    assert all(close(observed, FLIP[axis]) for axis, observed in flips.items())
    assert close(kept, noise.answer)
    rate = noise.right_after_wrong
    assert close(saved, rate * (1 - noise.answer) + (1 - rate) * noise.answer)


def test_the_stated_rates_are_those_of_the_design():
    assert (WRONG_PICK, FLIP, CONFLICT) == (0.25, {Axis.HORIZONTAL: 0.2, Axis.VERTICAL: 0.65}, 0.5)
    assert (TwoStep.noise.wrong_box, TwoStep.noise.right_after_wrong, TwoStep.noise.answer) == (0.1, 0.25, 0.01)


def test_an_unknown_held_out_type_is_refused(tmp_path):
    with pytest.raises(Exception, match="held_out=sideways: choose nothing or nearer_horizontal"):
        build(tmp_path / "world", seed=0, world="two_step", held_out="sideways")
    assert not (tmp_path / "world").exists()
