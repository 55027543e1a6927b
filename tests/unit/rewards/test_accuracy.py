from hypothesis import given
from hypothesis import strategies as st

from easyr1_fgrpo.rewards import answer_matches

from .hostile import any_text

SIDES = ("left", "right", "in front of")


def test_text_letter_or_both_are_accepted():
    for answer in [
        "left",
        "Left",
        " LEFT. ",
        "“left”",
        "**left**",
        "A",
        "a",
        "(A)",
        "A.",
        "[a]",
        "A. left",
        "(A) Left",
        "A: left",
        "ｌｅｆｔ",
    ]:
        assert answer_matches(answer, "left", SIDES), answer


def test_anything_else_is_wrong():
    for answer in [None, "", "  ", "...", "right", "B", "B. left", "A. right", "left or right", "D", "AA", "the left"]:
        assert not answer_matches(answer, "left", SIDES), answer


def test_inner_spaces_and_punctuation_do_not_matter():
    assert answer_matches("In-front of!", "in front of", SIDES)


NUMBERS = ("3", "-3", "3.5", "35", "3.50")


def test_minus_signs_and_decimal_points_survive():
    for answer, truth in [
        ("3", "3"),
        ("-3", "-3"),
        ("−3", "-3"),  # U+2212
        ("- 3", "-3"),
        ("(-3)", "-3"),
        ("B. -3", "-3"),
        ("B -3", "-3"),
        ("A - 3", "3"),
        ("A-3", "3"),
        ("A.3", "3"),
        ("3.", "3"),
        ("3.5", "3.5"),
        ("C.3.5", "3.5"),
        ("3.50", "3.50"),
        ("35", "35"),
    ]:
        assert [number for number in NUMBERS if answer_matches(answer, number, NUMBERS)] == [truth], answer


def test_numbers_are_text():
    assert not answer_matches("3.50", "3.5")
    assert answer_matches("3.5.", "3.5")
    assert not answer_matches("Floor 3", "Floor -3")


def test_composed_and_decomposed_letters_are_equal():
    assert answer_matches("cafe\u0301", "café", ("café", "bar"))


def test_text_wins_over_letter():
    choices = ("B", "A")
    assert [truth for truth in choices if answer_matches("A", truth, choices)] == ["A"]
    assert [truth for truth in choices if answer_matches("(b)", truth, choices)] == ["B"]
    assert [truth for truth in choices if answer_matches("A. B", truth, choices)] == ["B"]


def test_verbatim_wins_over_normal_form():
    choices = ("A cup", "a cup", "5!", "5")
    for answer in choices:
        assert [truth for truth in choices if answer_matches(f" {answer} ", truth, choices)] == [answer]
    assert not any(answer_matches("A CUP", truth, choices) for truth in choices)  # fits two: it names none


def test_free_answer_and_ground_truth_outside_the_choices():
    assert answer_matches("Left.", "left")
    assert not answer_matches("A", "left")
    assert answer_matches("up", "up", SIDES)
    assert not answer_matches("D", "up", SIDES)


def test_ground_truth_spelt_differently_from_its_option():
    assert answer_matches("B", "Right.", SIDES)
    assert answer_matches("right", "Right.", SIDES)


def test_an_empty_ground_truth_is_never_met():
    assert not any(answer_matches(answer, "", SIDES) for answer in ("", "left", ".", "A"))


@given(any_text, any_text, st.lists(any_text, max_size=5))
def test_any_text_gets_a_truth_value(answer, truth, choices):
    assert answer_matches(answer, truth, choices) in (True, False)
    assert answer_matches(truth, truth, [truth, *choices]) == bool(truth.strip())
