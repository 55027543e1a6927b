import time
from contextlib import suppress

import pytest
from case_tables import read_cases

from data_prep.sources.item import Reject
from data_prep.sources.text import clean_answer, clean_question, right_choice, split_options


def test_questions():
    for text, question in [
        ("<image>\nWhere is it?", "Where is it?"),
        ("Where <image> is   it?\n\n<IMAGE>", "Where is it?"),
        ("Where is it?\nAnswer the question using a single word or phrase.", "Where is it?"),
        ("Where? Please answer directly with a single word or number.", "Where?"),
        (
            "First image, then second.\nWhich way did the camera turn?",
            "First image, then second.\nWhich way did the camera turn?",
        ),
        ("Which sign will answer the question of the driver?", "Which sign will answer the question of the driver?"),
        ("Can you answer with the sign's word?\nWhat is it?", "Can you answer with the sign's word?\nWhat is it?"),
    ]:
        assert clean_question(text) == question, text


def test_reported_questions(subtests):
    for case in read_cases("questions"):
        with subtests.test(case["input"]):
            if case["expected"]:
                assert clean_question(case["input"]) == case["expected"]
            else:
                with pytest.raises(Reject, match="no question"):
                    clean_question(case["input"])


def test_reported_options(subtests):
    for case in read_cases("options"):
        with subtests.test(case["input"]):
            question, options = split_options(case["input"])
            assert {"question": question, "options": list(options)} == case["expected"]


def test_no_question(subtests):
    for text in ["", " \n", "<image>", "Answer with the option's letter."]:
        with subtests.test(text=text), pytest.raises(Reject, match="no question"):
            clean_question(text)


def test_options_inside_a_question():
    for text, question, options in [
        ("Which?\nA. a\nB. b", "Which?", ("a", "b")),
        ("Which?\n(A) a b\n(B) c\n", "Which?", ("a b", "c")),
        ("Which? (A) one (B) two (C) three", "Which?", ("one", "two", "three")),
        ("Which?\nChoices:\nA: 1.5\nB: 2.5", "Which?", ("1.5", "2.5")),
        ("Q: Which?\nA. a\nB. b", "Q: Which?", ("a", "b")),
        ("Is block A. nearer\nor what?", "Is block A. nearer\nor what?", ()),
        ("Which?\nA. a\nC. c", "Which?\nA. a\nC. c", ()),
        ("Which?\nA. only one", "Which?\nA. only one", ()),
        ("Which?", "Which?", ()),
    ]:
        assert split_options(text) == (question, options), text


def test_answers():
    assert clean_answer(" Right. ") == "Right"
    assert clean_answer("<answer> 3.5 </answer>") == "3.5"
    assert clean_answer("and so on ...") == "and so on ..."
    assert clean_answer("**Right**.") == clean_answer("`Right`") == clean_answer("<b>Right</b>") == "Right"
    for kept in ("2**3", "A*", "C*", "x<y>z", "<left>", "*a* and *b*", "x < y"):
        assert clean_answer(kept) == kept, kept
    for nothing in ("", ".", "<image>", "?!", "-"):
        with pytest.raises(Reject, match="no answer"):
            clean_answer(nothing)


def test_an_answer_in_the_question_is_refused(subtests):
    for text in [
        "Q?\nA. x\nB. y\nAnswer: B",
        "Which? (A) left (B) right Answer: (A)",
        "Which?\nA. x\nB. y Answer: A",
        "Is it red? The correct answer is yes.",
        "**Answer:** red\nWhat colour?",
    ]:
        with subtests.test(text), pytest.raises(Reject, match="the answer is written in the question"):
            split_options(text)


def test_hostile_text_is_read_in_linear_time(subtests):
    def seconds(read, text):
        best = float("inf")
        for _ in range(3):
            begun = time.process_time()
            with suppress(Reject):
                read(text)
            best = min(best, time.process_time() - begun)
        return best

    for read, before, part in [
        (clean_answer, "", ". "),
        (clean_answer, "", "$"),
        (clean_answer, "", "*`"),
        (clean_question, "Answer: ", "Please answer "),
        (clean_question, "", "Please answer: x? "),
        (clean_question, "", "answer is . "),
        (split_options, "Q? ", "A. x B. "),
    ]:
        with subtests.test(read=read.__name__, part=part):
            quarter, whole = (seconds(read, before + part * size) for size in (5_000, 20_000))
            assert whole < 8 * quarter + 0.02, (quarter, whole)  # linear: 4 times, quadratic: 16 times


def test_the_right_choice():
    for answer, right in [("b", "two"), ("(B)", "two"), ("B. two", "two"), ("Two", "two"), ("one", "one")]:
        assert right_choice(answer, ("one", "two")) == right, answer


def test_no_right_choice():
    with pytest.raises(Reject, match="none of the choices"):
        right_choice("three", ("one", "two"))
    with pytest.raises(Reject, match="fewer than two"):
        right_choice("one", ("one",))
    with pytest.raises(Reject, match="too many"):
        right_choice("1", [str(n) for n in range(27)])
    with pytest.raises(Reject, match=r"two choices are the same answer: 'Left' and 'left\.'"):
        right_choice("right", ("Left", "right", "left."))
