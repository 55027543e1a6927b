import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from easyr1_fgrpo.published.option_fields import by_letter, is_letter, listed_options, unlettered
from easyr1_fgrpo.published.options import split_options


def test_a_letter_names_its_option():
    for letter in ["B", "b", "(B)", "(b)", " B. ", "B)"]:
        assert by_letter(letter, ["left", "right"]) == "right", letter


def test_what_names_no_option_is_refused(subtests):
    for letter in ["C", "", "right", "AB", "1", "É"]:
        with subtests.test(letter=letter), pytest.raises(ValueError, match="names none of the 2 choices"):
            by_letter(letter, ["left", "right"])


def test_options_are_taken_off_the_question():
    for text, question, choices in [
        ("Where? A. Left B. Right", "Where?", ("Left", "Right")),
        ("Where?\nA. Left\nB. Right\n", "Where?", ("Left", "Right")),
        ("Where is St. B. Where? A. Left B. Right", "Where is St. B. Where?", ("Left", "Right")),
        ("I stand at A. I turn. What is there? A. TV B. Sofa", "I stand at A. I turn. What is there?", ("TV", "Sofa")),
        ("Which? A. 3.5 m B. 4 m C. Mt. X", "Which?", ("3.5 m", "4 m", "Mt. X")),
        ("Which?\nA. Vitamin A. B. C.\nB. Iron", "Which?", ("Vitamin A. B. C.", "Iron")),
        ("Rank A. cat B. dog. Where? A. Left B. Right", "Rank A. cat B. dog. Where?", ("Left", "Right")),
        ("What is written on it?", "What is written on it?", ()),
        ("Only A. is here", "Only A. is here", ()),
        ("Wrong order B. right A. left", "Wrong order B. right A. left", ()),
    ]:
        assert split_options(text) == (question, choices), text


WORDS = st.text("abc 12,", min_size=1).map(lambda text: " ".join(text.split()).strip(" ,")).filter(bool)


@settings(max_examples=50)
@given(question=WORDS, choices=st.lists(WORDS, min_size=2, max_size=26), separator=st.sampled_from([" ", "\n"]))
def test_options_that_were_put_together_are_taken_apart(question, choices, separator):
    lettered = [f"{chr(ord('A') + index)}. {text}" for index, text in enumerate(choices)]
    asked = f"{question}?"  # inside a line, options begin where the question has ended
    assert split_options(separator.join([asked, *lettered])) == (asked, tuple(choices))


@given(st.text(alphabet="ABC. \nx"))
def test_any_text_is_split_without_loss_of_words(text):
    question, choices = split_options(text)
    assert all(word in text for word in [*question.split(), *" ".join(choices).split()])


def test_letters():
    assert [is_letter(text) for text in ("A", "(b)", "C.", " d ", "AB", "1", "a cat")] == [True] * 4 + [False] * 3


def test_every_option_keeps_its_letter(subtests):
    for value, options in [
        (["left", "right", None, ""], ["left", "right"]),
        ({"B": "right", "A": "left"}, ["left", "right"]),
        ({"A": 1, "B": 0, "C": None}, ["1", "0"]),
        ([None, " "], []),
    ]:
        with subtests.test(value):
            assert listed_options(value) == options
    for value, why in [
        (["left", "", "up"], "option B is blank and C is not"),
        ({"A": "left", "C": "up"}, "option B is blank and C is not"),
        ({"x": "left", "y": "up"}, "options are under x, y"),
    ]:
        with subtests.test(value), pytest.raises(ValueError, match=why):
            listed_options(value)


def test_letters_before_options(subtests):
    for options, plain in [
        (["A. left", "B. right"], ("left", "right")),
        (["(a) left", "(b) right"], ("left", "right")),
        (["A. left", "right"], ("A. left", "right")),
        (["J. Smith", "the dog"], ("J. Smith", "the dog")),
        (["A", "B"], ("A", "B")),
    ]:
        with subtests.test(options):
            assert unlettered(options) == plain
    for wrong in [["B. right", "A. left"], ["A. left", "C. up"], ["right", "A. left"], ["A. left", "A. up"]]:
        with subtests.test(wrong), pytest.raises(ValueError, match="letter"):
            unlettered(wrong)
