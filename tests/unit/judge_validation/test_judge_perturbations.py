import random
import re
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from processor_time import assert_quick

from easyr1_fgrpo.judge_validation import perturbations
from easyr1_fgrpo.judge_validation.perturbations import plant
from easyr1_fgrpo.judge_validation.questions import Case
from easyr1_fgrpo.judge_validation.rules import answer_swapped, box_moved, flipped, from_another_image, renamed
from easyr1_fgrpo.judge_validation.words import (
    ABOVE_BELOW,
    ATTRIBUTES,
    COLOURS,
    LEFT_RIGHT,
    NEARER_FARTHER,
    OBJECTS,
)
from easyr1_fgrpo.judges.protocol import Label, Question
from easyr1_fgrpo.traces import VerdictRecord

SIZE = (100, 80)
PIECES = ["left ", "the ", "<bbox>[", "1,", "an apple ", " ", "top-", "not ", "1,2,3,4]</bbox>", "two red dogs "]


def claim(text, *, trace=None, question="What is it?", images=("a",), label=Label.CORRECT, record=0):
    trace = text if trace is None else trace
    reference = VerdictRecord(judge="j", label=label)
    return Case(Question.GROUNDING, record, question, (), trace, "", images, reference, max(trace.find(text), 0), text)


def answer(text, choices, label=Label.YES):
    reference = VerdictRecord(judge="j", label=label)
    return Case(Question.CONSISTENCY, 0, "Where?", choices, "It is left.", text, (), reference)


def rng(seed=0):
    return random.Random(seed)


def test_flips():
    for text, opposites, changed in [
        ("The cup is left of the plate.", LEFT_RIGHT, "The cup is right of the plate."),
        ("A dog is on the right.", LEFT_RIGHT, "A dog is on the left."),
        ("Left of it is a car; the left side is dark.", LEFT_RIGHT, "Right of it is a car; the right side is dark."),
        ("It is in the top-left corner.", LEFT_RIGHT, "It is in the top-right corner."),
        ("It is in the top-left corner.", ABOVE_BELOW, "It is in the bottom-left corner."),
        ("The lamp is above the table.", ABOVE_BELOW, "The lamp is below the table."),
        ("The cat is under the table.", ABOVE_BELOW, "The cat is on top of the table."),
        ("The bus is nearer than the car.", NEARER_FARTHER, "The bus is farther than the car."),
        ("The bus is closer to the camera.", NEARER_FARTHER, "The bus is farther from the camera."),
        ("The bus is further away from us.", NEARER_FARTHER, "The bus is nearer to us."),
        ("The man is behind the fence.", NEARER_FARTHER, "The man is in front of the fence."),
        ("Two dogs are there.", ATTRIBUTES, "Five dogs are there."),
        ("There is an open door and a red box.", ATTRIBUTES, "There is a closed door and a red box."),
        ("A young man walks.", ATTRIBUTES, "An old man walks."),
        ("The smaller box is red.", ATTRIBUTES, "The larger box is red."),
    ]:
        assert flipped(opposites, claim(text), rng()) == changed, (text, opposites, changed)


def test_what_is_not_plain_is_not_flipped():
    for text, opposites in [
        ("The right answer is the cup.", LEFT_RIGHT),
        ("He left a cup there, right?", LEFT_RIGHT),
        ("That is right.", LEFT_RIGHT),
        ("The cup is left of A and right of B.", LEFT_RIGHT),
        ("The cup is not left of the plate.", LEFT_RIGHT),
        ("The cup isn't above it.", ABOVE_BELOW),
        ("She wears a red top with dots.", ABOVE_BELOW),
        ("Under 5 items are there.", ABOVE_BELOW),
        ("The cup stands there.", NEARER_FARTHER),
    ]:
        assert flipped(opposites, claim(text), rng()) is None, text


def test_larger_is_never_changed_twice():
    assert flipped(ATTRIBUTES, claim("The larger dog is red."), rng()) == "The smaller dog is red."


def test_renaming_keeps_article_case_and_plural():
    found = {renamed(OBJECTS, claim("A banana lies there; Bananas are sweet."), rng(seed)) for seed in range(30)}
    fruits = ("an apple", "a carrot", "a cake", "a burger", "a pizza")
    assert found == {f"{one.capitalize()} lies there; {one.split()[1].capitalize()}s are sweet." for one in fruits}


def test_renaming_avoids_what_question_and_trace_name():
    trace = "I see a banana, a pie and some sandwiches."
    case = claim("An apple is red.", trace=f"An apple is red. {trace}", question="Is there a carrot?")
    found = {renamed(OBJECTS, case, rng(seed)) for seed in range(20)}
    assert found == {"A burger is red.", "A pizza is red."}


def test_renaming_changes_one_word_in_all_its_places():
    case = claim("The red cup and the blue cup.", question="Is it green?")
    changed = {renamed(COLOURS, case, rng(seed)) for seed in range(30)}
    assert changed == {
        *(f"The {colour} cup and the blue cup." for colour in ("yellow", "black", "white")),
        *(f"The red cup and the {colour} cup." for colour in ("yellow", "black", "white")),
    }


def test_nothing_to_rename():
    for text in ["There is no dog.", "The thing is there.", "Is it a dog?"]:
        assert renamed(OBJECTS, claim(text), rng()) is None, text


@pytest.mark.parametrize(
    ("given", "swapped"),
    [("left", "right"), ("LEFT.", "right"), ("A", "B"), ("(a)", "B"), ("A. left", "B. right"), ("A) Left", "B. right")],
)
def test_answers_are_swapped_in_their_form(given, swapped):
    assert answer_swapped(answer(given, ("left", "right")), rng()) == swapped


@pytest.mark.parametrize(("given", "choices"), [("left", ()), ("left", ("left",)), ("up", ("left", "right"))])
def test_answers_without_another_choice_stay(given, choices):
    assert answer_swapped(answer(given, choices), rng()) is None


corner = st.floats(0, 60, allow_nan=False).map(lambda value: round(value, 1)) | st.integers(0, 60)


@given(corner, corner, st.integers(1, 50), st.integers(1, 50), st.integers(0, 99))
def test_a_moved_box_has_its_size_and_touches_nothing_of_the_old_one(x, y, width, height, seed):
    text = f"The dog is at <bbox>[{x}, {y}, {x + width:g}, {y + height:g}]</bbox>."
    changed = box_moved(lambda digest: SIZE, claim(text), rng(seed))
    if changed is None:
        return
    a, b, c, d = map(float, re.search(r"\[(.*)\]", changed)[1].split(","))
    assert 0 <= a < c <= SIZE[0]
    assert 0 <= b < d <= SIZE[1]
    assert (c - a, d - b) == pytest.approx((width, height), abs=0.11)
    assert c <= x + 0.06 or a >= x + width - 0.06 or d <= y + 0.06 or b >= y + height - 0.06
    assert re.sub(r"\[.*\]", "", changed) == re.sub(r"\[.*\]", "", text)


def test_a_box_is_moved_inside_the_smallest_image():
    sizes = {"a": (100, 100), "b": (30, 30)}
    case = claim("It is at <bbox>[0,0,10,10]</bbox>.", images=("a", "b"))
    for seed in range(20):
        box = re.search(r"\[(.*)\]", box_moved(sizes.get, case, rng(seed)))[1]
        assert max(map(int, box.split(","))) <= 30


def test_a_box_that_fills_the_image_or_is_none_stays():
    for box in ["0,0,99,79", "50,50,200,60", "5,5,1,1", "1,2,3", "1.2.3,1,5,5"]:
        assert box_moved(lambda digest: SIZE, claim(f"It is at <bbox>[{box}]</bbox>."), rng()) is None, box


def test_a_donor_is_another_image_and_names_something_else():
    here = claim("The dog sits.", trace="The dog sits. A ball lies there.", question="Is it a cat?")
    donors = [
        claim("A zebra stands.", images=("a",)),
        claim("The ball lies there.", images=("b",)),
        claim("The dog: a cat.", images=("b",)),
        claim("A giraffe eats.", images=("b",)),
    ]
    assert {from_another_image(donors, here, rng(seed)) for seed in range(20)} == {"A giraffe eats."}
    assert from_another_image(donors[:3], here, rng()) is None


def test_plans_add_up_and_change_true_cases_only():
    words = ("red", "black", "green")
    cases = [
        claim(f"The {words[i % 3]} car {i} is left of it.", images=(f"{i}",), record=i, label=label)
        for i in range(250)
        for label in (Label.CORRECT, Label.INCORRECT, Label.SKIP, None)
        if label is not None
    ]
    cases += [answer("left", ("left", "right"), label) for label in (Label.YES, Label.NO)]
    plans = {plan.name: plan for plan in plant(cases, lambda digest: SIZE, seed=0)}
    for plan in plans.values():
        candidates = 250 if plan.question is Question.GROUNDING else 1
        assert len(plan.planted) + plan.unsuitable + plan.spared == candidates
        for item in plan.planted:
            before = cases[item.original]
            assert before.reference.label in (Label.CORRECT, Label.YES)
            assert (item.case.claim, item.case.answer) != (before.claim, before.answer)
            assert (item.case.trace, item.case.start, item.case.images) == (before.trace, before.start, before.images)
    assert len(plans["left/right flipped"].planted) == perturbations.MOST_PER_KIND
    assert plans["left/right flipped"].spared == 50
    assert plans["box moved"].unsuitable == 250
    assert len(plans["answer swapped"].planted) == 1


def test_the_same_seed_plants_the_same():
    cases = [claim(f"The red car {i} is near.", images=(f"{i}",), record=i) for i in range(30)]
    first, again, other = (plant(cases, lambda digest: SIZE, seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_a_change_that_repeats_the_trace_is_not_made():
    repeated = claim("The cup is left of it.", trace="The cup is  right of it. The cup is left of it.")
    plans = {plan.name: plan for plan in plant([repeated], lambda digest: SIZE, seed=0)}
    assert plans["left/right flipped"].planted == []
    assert plans["left/right flipped"].unsuitable == 1


def test_floods_cost_little(subtests):
    for piece in PIECES:
        with subtests.test(piece=piece):
            flood = piece * (100_000 // len(piece))
            cases = [claim(text, trace=flood, images=(name,)) for name in "abcd" for text in (flood, flood[:900])]
            assert_quick(lambda cases=cases: plant(cases, lambda digest: SIZE, seed=0), seconds=2.0)


@given(st.text(max_size=200) | st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=30).map("".join))
def test_hostile_text_raises_nothing(text):
    cases = [claim(text, images=(name,)) for name in "ab"]
    plans = plant([*cases, answer(text, ("left", text))], lambda digest: SIZE, seed=0)
    assert all(item.case.claim != text or item.case.answer != text for plan in plans for item in plan.planted)


@given(st.text(alphabet="aleftrigh odc<bx>[],.019 \n", max_size=80))
def test_any_rule_changes_the_text_or_leaves_it(text):
    case = claim(text)
    for rule in (
        partial(renamed, OBJECTS),
        partial(renamed, COLOURS),
        *(partial(flipped, words) for words in (LEFT_RIGHT, ABOVE_BELOW, NEARER_FARTHER, ATTRIBUTES)),
        partial(box_moved, lambda digest: SIZE),
    ):
        assert rule(case, rng()) != text
