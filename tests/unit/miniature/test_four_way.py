from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from easyr1_fgrpo.config.load import load_config
from easyr1_fgrpo.judges.protocol import Label
from easyr1_fgrpo.miniature import language, teacher
from easyr1_fgrpo.miniature.oracle import judge_consistency, judge_grounding
from easyr1_fgrpo.miniature.scene import AXIS, OPPOSITE, Axis, Relation, Thing, holds
from easyr1_fgrpo.miniature.worlds import WORLDS, four_way, world_of
from easyr1_fgrpo.miniature.worlds.four_way import (
    ARRANGEMENTS,
    ASKED_SIZES,
    CHOICES,
    QUESTIONS,
    WRONG_PICK,
    WRONG_PLACE,
    FourWay,
    ask,
    draw_example,
    true_choices,
)
from easyr1_fgrpo.miniature.worlds.pick_and_place import in_conflict, picked
from easyr1_fgrpo.preflight.lengths import too_long
from easyr1_fgrpo.rewards.response import parse_response
from easyr1_fgrpo.rewards.sentences import split_sentences

seeds = st.integers(0, 2**32 - 1)

# Green is in the middle, red big and above it, blue small and right of it.
SCENE = (
    Thing("red", "circle", (28, 0, 56, 28)),
    Thing("blue", "square", (63, 35, 77, 49)),
    Thing("green", "triangle", (28, 28, 56, 56)),
    Thing("yellow", "circle", (0, 0, 21, 21)),
)
RED, BLUE, GREEN = (
    "The red is at <bbox>[28,0,56,28]</bbox>.",
    "The blue is at <bbox>[63,35,77,49]</bbox>.",
    "The green is at <bbox>[28,28,56,56]</bbox>.",
)
NEARER_RED, NEARER_BLUE = "The red is nearer than the blue.", "The blue is nearer than the red."
RED_ABOVE, RED_LEFT, BLUE_ABOVE = (
    "The red is above the green.",
    "The red is left of the green.",
    "The blue is above the green.",
)


def test_the_questions_by_hand():
    for kind, question, pick, place, answer in [
        (
            "nearer",
            "Seen from the green, is the nearer one of the red and the blue left, right, above or below?",
            NEARER_RED,
            RED_ABOVE,
            "above",
        ),
        (
            "farther",
            "Seen from the green, is the farther one of the red and the blue left, right, above or below?",
            "The blue is farther than the red.",
            "The blue is right of the green.",
            "right",
        ),
    ]:
        example = ask(SCENE, kind)
        assert (example.type, example.question, example.answer) == (kind, question, answer), kind
        assert example.choices == ("left", "right", "above", "below")
        assert teacher.clean_trace(example) == [RED, BLUE, pick, GREEN, place, f"So the answer is {answer}."], kind
        assert in_conflict(example)
        assert world_of(f"{question}\nA. left\nB. right\nC. above\nD. below") is four_way, kind


def test_every_question_is_of_its_own_world():
    for world in WORLDS.values():
        for question in world.QUESTIONS.values():
            assert [other for other in WORLDS.values() if other.QUESTION.search(question)] == [world], question


def test_consistency():
    for trace, answer, label in [
        (f"{NEARER_RED} {RED_ABOVE} So the answer is above.", "above", Label.YES),
        (f"{NEARER_RED} {RED_LEFT} So the answer is left.", "left", Label.YES),  # false but consistent
        (f"{NEARER_RED} {RED_ABOVE} So the answer is above.", "below", Label.NO),  # answers the opposite
        (f"{NEARER_RED} {RED_ABOVE} So the answer is above.", "left", Label.NO),  # answers on the other axis
        (f"{NEARER_RED} {RED_ABOVE} So the answer is below.", "below", Label.NO),  # concludes the opposite
        (f"{NEARER_RED} {RED_ABOVE} So the answer is left.", "left", Label.NO),  # concludes on the other axis
        (f"{NEARER_RED} {RED_ABOVE} So the answer is left.", "above", Label.NO),
        (f"{NEARER_RED} {RED_LEFT} So the answer is above.", "above", Label.NO),  # the relation is on the wrong axis
        (f"{NEARER_RED} {RED_LEFT} So the answer is above.", "left", Label.NO),
        (f"{NEARER_BLUE} {RED_ABOVE} So the answer is above.", "above", Label.NO),  # not about the one it picked
        (f"The blue is farther than the red. {RED_ABOVE} So the answer is above.", "above", Label.YES),  # picks red
        (f"The blue is farther than the red. {BLUE_ABOVE} So the answer is above.", "above", Label.NO),
        (f"{NEARER_RED} The green is left of the red. So the answer is right.", "right", Label.YES),  # the other side
        (f"{NEARER_RED} The green is left of the red. So the answer is left.", "left", Label.NO),
        (f"{NEARER_RED} The green is below the red. So the answer is above.", "above", Label.YES),
        (f"{NEARER_BLUE} The green is below the red. So the answer is above.", "above", Label.NO),
        (f"{NEARER_RED} {RED_LEFT} {RED_ABOVE} So the answer is above.", "above", Label.YES),  # the last
        (f"{NEARER_RED} {RED_ABOVE} {RED_LEFT} So the answer is above.", "above", Label.NO),
        (f"{NEARER_RED} {RED_ABOVE} {NEARER_BLUE} So the answer is above.", "above", Label.NO),  # picks anew
        (f"{NEARER_RED} {RED_ABOVE} {BLUE_ABOVE} So the answer is above.", "above", Label.NO),
        (f"{NEARER_RED} {RED_ABOVE} So the answer is left. So the answer is above.", "above", Label.YES),
        (f"{NEARER_RED} {RED_ABOVE}", "above", Label.YES),  # a relation is a conclusion where none is drawn
        (f"{NEARER_RED} {RED_ABOVE}", "left", Label.NO),
        (f"{NEARER_RED} So the answer is above.", "above", Label.UNCERTAIN),  # not placed
        (f"{NEARER_RED} The red is above the blue. So the answer is above.", "above", Label.UNCERTAIN),
        (f"{NEARER_RED} The yellow is above the green. So the answer is above.", "above", Label.UNCERTAIN),
        (f"{RED_ABOVE} So the answer is above.", "above", Label.UNCERTAIN),  # nothing picked
        (f"The red is nearer than the green. {RED_ABOVE} So the answer is above.", "above", Label.UNCERTAIN),
        ("So the answer is above.", "above", Label.UNCERTAIN),
        ("So the answer is above.", "left", Label.NO),
        (f"{NEARER_RED} {RED_ABOVE} So the answer is unclear.", "above", Label.UNCERTAIN),
        ("", "above", Label.UNCERTAIN),
    ]:
        assert judge_consistency(QUESTIONS["nearer"], trace, answer) is label, (trace, answer, label)


def test_the_pick_depends_on_what_is_wanted():
    trace = f"{NEARER_RED} {BLUE_ABOVE} So the answer is above."
    assert judge_consistency(QUESTIONS["nearer"], trace, "above") is Label.NO
    assert judge_consistency(QUESTIONS["farther"], trace, "above") is Label.YES


def test_grounding():
    spoken = ask(SCENE, "nearer").spoken
    for claim, label in [
        (RED, Label.CORRECT),
        (RED_ABOVE, Label.CORRECT),
        ("The green is below the red.", Label.CORRECT),
        ("The red is below the green.", Label.INCORRECT),
        (RED_LEFT, Label.INCORRECT),  # neither of the two is true of one in the same column
        ("The red is right of the green.", Label.INCORRECT),
        (BLUE_ABOVE, Label.INCORRECT),
        ("The blue is below the green.", Label.INCORRECT),
        (NEARER_RED, Label.CORRECT),
        (NEARER_BLUE, Label.INCORRECT),
        ("So the answer is above.", Label.SKIP),
    ]:
        assert judge_grounding(spoken, "", claim) is label, claim


def test_two_options_are_true_where_nothing_is_asked():
    red, _, green, yellow = SCENE
    assert true_choices(red, green) == ["above"]
    assert true_choices(yellow, green) == ["left", "above"]


def test_arrangements_are_balanced():
    def relation(cell, green):
        (row, column), (green_row, green_column) = divmod(cell, 3), divmod(green, 3)
        assert (row == green_row) != (column == green_column)
        if row == green_row:
            return "left" if column < green_column else "right"
        return "above" if row < green_row else "below"

    pairs = Counter((relation(red, green), relation(blue, green)) for red, blue, green in ARRANGEMENTS)
    assert len(ARRANGEMENTS) == 108
    for first in CHOICES:
        assert sum(count for (red, _), count in pairs.items() if red == first) == 27
        assert [pairs[first, first], pairs[first, OPPOSITE[first]]] == [6, 3]
    assert sum(count for (red, blue), count in pairs.items() if red != blue) == 84  # of 108: 7 of 9


def labels_of(example, trace):
    sentences = [sentence.text for sentence in split_sentences(" ".join(trace))]
    grounding = [judge_grounding(example.spoken, " ".join(sentences[:n]), text) for n, text in enumerate(sentences)]
    return grounding, judge_consistency(example.question, " ".join(trace), example.answer)


@given(seeds)
def test_one_option_is_true_and_a_clean_trace_says_it(seed):
    example = draw_example(np.random.default_rng(seed))
    green = example.asked[2]
    for thing in example.asked[:2]:
        assert [choice for choice in CHOICES if holds(thing, choice, green)] == [example.place(thing)]
    assert example.answer is example.place(picked(example.spoken, example.wanted))
    assert labels_of(example, teacher.clean_trace(example)) == ([Label.CORRECT] * 5 + [Label.SKIP], Label.YES)
    assert len({thing.colour for thing in example.scene}) == 4
    assert len({(thing.box[0] // 28, thing.box[1] // 28) for thing in example.scene}) == 4
    assert {thing.box[2] - thing.box[0] for thing in example.asked[:2]} == set(ASKED_SIZES)
    assert all(corner % 7 == 0 and 0 <= corner <= 84 for thing in example.scene for corner in thing.box)


@given(seeds, st.sampled_from(CHOICES))
def test_every_other_place_is_false_and_no_reason_for_the_answer(seed, said):
    example = draw_example(np.random.default_rng(seed))
    trace = teacher.clean_trace(example)
    pick, place = example.steps
    trace[4] = language.relation_sentence(place.first, said, place.second)
    right = said is example.answer
    expected = [Label.CORRECT] * 4 + [Label.CORRECT if right else Label.INCORRECT, Label.SKIP]
    assert labels_of(example, trace) == (expected, Label.YES if right else Label.NO)
    trace = language.trace(example.asked, [pick.flipped(), place])
    assert labels_of(example, trace)[1] is Label.NO  # it speaks of the one that it did not pick


def close(observed, expected):
    """Within five standard deviations of a binomial share."""
    return abs(np.mean(observed) - expected) < 5 * np.sqrt(expected * (1 - expected) / len(observed))


def test_answers_and_types_are_equally_frequent():
    rng = np.random.default_rng(0)
    drawn = [draw_example(rng) for _ in range(3000)]
    assert close([in_conflict(example) for example in drawn], 7 / 9)
    for kind in QUESTIONS:
        of_kind = [example for example in drawn if example.type == kind]
        assert close([example.type == kind for example in drawn], 1 / 2), kind
        for choice in CHOICES:
            assert close([example.answer is choice for example in of_kind], 1 / 4), (kind, choice)
    assert close([example.place(example.asked[0]) is example.answer for example in drawn], 11 / 18)  # no pick


def test_the_noise_has_the_stated_rates():
    rng = np.random.default_rng(0)
    picks, boxes, saved, kept = [], [], [], []
    misplaced = {axis: [] for axis in WRONG_PLACE}
    wrong = Counter()
    for _ in range(3000):
        example = draw_example(rng)
        response = parse_response(teacher.noisy_response(example, rng))
        assert response.well_formed
        first = "red" if f"The red is {example.wanted} than" in response.trace else "blue"
        thing = next(thing for thing in example.asked if thing.colour == first)
        concluded = language.conclusions(response.trace)[0]
        assert f"The {first} is {language.LINK[Relation(concluded)]} the green." in response.trace
        picks.append(first != example.steps[0].first.colour)
        true = example.place(thing)
        misplaced[AXIS[true]].append(concluded != true)
        wrong[true, concluded] += concluded != true
        boxes += [tuple(map(int, b)) != t.box for b, t in zip(response.boxes, example.asked, strict=True)]
        right = response.answer == example.answer
        (kept if concluded == example.answer else saved).append(right)
    noise = FourWay.noise
    assert close(picks, WRONG_PICK)
    assert close(boxes, noise.wrong_box)
    assert all(close(observed, WRONG_PLACE[axis]) for axis, observed in misplaced.items())
    for true in CHOICES:
        others = [choice for choice in CHOICES if choice is not true]
        total = sum(wrong[true, other] for other in others)
        assert all(close([1] * wrong[true, other] + [0] * (total - wrong[true, other]), 1 / 3) for other in others)
    assert close(kept, 1 - noise.answer)
    assert close(saved, noise.right_after_wrong * (1 - noise.answer) + (1 - noise.right_after_wrong) * noise.answer / 3)


def test_the_stated_rates_are_those_of_the_design():
    assert (WRONG_PICK, WRONG_PLACE) == (0.25, {Axis.HORIZONTAL: 0.2, Axis.VERTICAL: 0.75})
    assert (FourWay.noise.wrong_box, FourWay.noise.right_after_wrong, FourWay.noise.answer) == (0.1, 0.35, 0.01)


@pytest.mark.parametrize("held_out", ["nothing", *QUESTIONS])
def test_the_config(held_out):
    groups = ["backbone=tiny", "dataset=miniature_four_way", "judge=oracle", "scale=cpu"]
    config = load_config([*groups, "seed=2", f"stages.held_out={held_out}"])
    assert config.stages.world_name == "four_way"
    texts = [(f"<image>{question}", 84, 84) for question in QUESTIONS.values()]
    room = config.data.max_prompt_length
    assert too_long(texts, room, pixels=(None, None), patch_size=14) == []  # else no run would start
    assert config.data.train_files == f"runs/miniature_four_way-s2/world_without_{held_out}/train.parquet"
    assert config.data.train_batch_size * config.trainer.total_training_steps == config.stages.scenes.train
    assert config.fgrpo.run_dir == "runs/fgrpo_four_way_cpu-s2"
