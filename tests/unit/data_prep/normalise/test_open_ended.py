import random

import pytest

from data_prep.normalise.open_ended import AnswerPool, check_length
from data_prep.sources import Item, Reject


def item(question, answer, dataset="gqa"):
    return Item(question, answer, ((f"{dataset}/1.jpg",),), dataset=dataset)


COLOURS = [item("What color is it?", colour) for colour in ("red", "Red.", "blue", "green", "yellow", "pink")]
POOL = AnswerPool(
    [
        *COLOURS,
        item("What color is the sky?", "grey", "vsr"),
        item("How many are there?", "3"),
        item("What year was it?", "1984"),
        item("Is it new?", "Yes"),
        Reject("no answer"),
        item("On which side?", "left"),
        item("On which side of it?", "right"),
        Item("What color is it?", "an option", (("a",),), choices=("an option", "none"), dataset="gqa"),
    ]
)


def choices(one, seed=0):
    return POOL.choices(one, random.Random(seed))


def test_wrong_options_are_answers_to_the_same_kind_of_question():
    drawn = {choices(item("What color is the cup?", "blue"), seed) for seed in range(200)}
    assert all(len(options) == len(set(options)) == 4 and "blue" in options for options in drawn)
    assert set().union(*drawn) == {"red", "blue", "green", "yellow", "pink"}
    indices = [choices(item("What color is the cup?", "blue"), seed).index("blue") for seed in range(400)]
    assert all(60 < indices.count(index) < 140 for index in range(4))


def test_the_answer_stands_once_however_it_is_written():
    for seed in range(20):
        options = choices(item("What color is the cup?", "RED"), seed)
        assert "RED" in options
        assert not {"red", "Red."} & set(options)


def test_yes_no_and_numbers_are_kinds_of_their_own():
    assert sorted(choices(item("What color is it, or is it not?", "No"))) == ["no", "yes"]
    assert sorted(choices(item("What color code?", "7"))) == ["1984", "3", "7"]


def test_fewer_options_where_fewer_are_known_and_none_where_none():
    assert sorted(choices(item("On which side is it?", "left"))) == ["left", "right"]
    with pytest.raises(Reject, match="no other answer of this kind"):
        choices(item("Who is it?", "a man"))
    with pytest.raises(Reject, match="answer too long"):
        choices(item("What color is it?", "word " * 31))


def test_drawing_depends_on_the_seed_alone():
    asked = item("What color is the cup?", "blue")
    assert choices(asked, 5) == choices(asked, 5)


def test_long_free_answers():
    check_length("on the left side of")
    with pytest.raises(Reject, match="answer too long"):
        check_length("on the left side of it")
