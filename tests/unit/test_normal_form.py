import random
import re

from case_tables import read_cases
from hypothesis import given
from hypothesis import strategies as st
from processor_time import assert_linear

from easyr1_fgrpo.normal_form import normalize_answer, same_options
from easyr1_fgrpo.rewards import answer_matches

SIGNS = ["<", ">", "≤", "≥", "≠", "=", "≈", "+", "-", "±", "/", ":", "·", "^", "→", "←", ".", ",", "%", "°", "€", "£"]
SPELLINGS = [
    ("<=", "≤"),
    (">=", "≥"),
    ("!=", "≠"),
    ("–", "-"),
    ("−", "-"),
    ("－", "-"),
    ("∶", ":"),
    ("⁄", "/"),
    ("->", "→"),
]
number = st.integers(1, 99).map(str)
word = st.sampled_from(["left", "moved", "Cup", "m", "km", "am"])
noise = st.text(st.sampled_from("aB12 -.,:;/'\"$<>=+~*#_^()\\{}½²₂°%‘→\u0301\u200b&x…\n"), max_size=12)


def test_reported_answers(subtests):
    for case in read_cases("answers"):
        with subtests.test(answer=case["input"]):
            options = case["options"]
            named = [option for option in options if answer_matches(case["input"], option, options)]
            assert named == ([case["expected"]] if case["expected"] else [])


def test_reported_options(subtests):
    for case in read_cases("same_options"):
        with subtests.test(options=case["input"]):
            assert list(same_options(case["input"]) or ()) == case["expected"]


def test_normal_form():
    for text, normal in [
        ("x = -3", "x=-3"),
        ("3–4", "3-4"),
        ("-.5", "-.5"),
        ("No.5", "no5"),
        ("B -3", "b -3"),
        ("A - 3", "a3"),
        ("top-left", "topleft"),
        ("In-front of!", "infrontof"),
        ("don’t", "dont"),
        ("1990's", "1990s"),
        ("…", ""),
        ("-", "-"),
    ]:
        assert normalize_answer(text) == normal, text


@given(noise | st.text())
def test_the_form_of_a_form_is_itself(text):
    form = normalize_answer(text)
    assert normalize_answer(form) == form
    assert normalize_answer(f" {text}\n") == form


@given(st.lists(word | st.just(" "), max_size=6).map("".join))
def test_words_go_the_long_way_to_the_same_form(text):
    assert normalize_answer(text) == normalize_answer(f"“{text}”")


@given(
    number, number, st.sampled_from(SIGNS), st.sampled_from([*SIGNS, "", " "]), st.sampled_from(["{}{}{}", "{} {} {}"])
)
def test_texts_of_different_signs_never_are_one_answer(first, second, one, other, layout):
    texts = [layout.format(first, sign, second) for sign in (one, other)]
    meant = {sign.strip() for sign in (one, other)} != {".", ""} or "{} {}" not in layout  # "3 . 4" is "3 4"
    if one != other and texts[0].split() != texts[1].split() and meant:
        assert same_options(texts) is None


@given(word, number, st.sampled_from(["<", ">", "≤", "≥", "≠", "=", "+", "-", "±", "~", "$", "€", "→"]), word)
def test_a_sign_before_a_number_never_is_lost(before, value, sign, unit):
    signed, plain = f"{before} {sign}{value} {unit}", f"{before} {value} {unit}"
    assert same_options([signed, plain]) is None
    assert not answer_matches(plain, signed)


@given(number, st.sampled_from(SPELLINGS), number, st.sampled_from(["", " "]))
def test_other_spellings_of_a_sign_are_that_sign(first, spelling, second, gap):
    one, other = (gap.join([first, sign, second]) for sign in spelling)
    assert normalize_answer(one) == normalize_answer(other)


def slow_form(text: str) -> str:
    """The rules on points, dashes and gaps, character by character, for ASCII letters, digits, blanks, "." and "-"."""
    letters = [char.lower() for char in " ".join(text.split())]

    def at(index: int) -> str:
        return letters[index] if 0 <= index < len(letters) else ""

    for index in range(len(letters)):
        if letters[index] == "." and (not at(index + 1).isdigit() or at(index - 1).isalpha()):
            letters[index] = " "
    letters = list(" ".join("".join(letters).split()))
    for index in range(len(letters)):
        if letters[index] == "-":
            ahead = at(index + 1) if at(index + 1) != " " else at(index + 2)
            before = at(index - 1) if at(index - 1) != " " else at(index - 2)
            apart = at(index - 1) == " " == at(index + 1)
            kept = (ahead.isdigit() or ahead == ".") and not (before.isalpha() and (at(index - 1) != " " or apart))
            letters[index] = "-" if kept else " "
    letters = list(" ".join("".join(letters).split()))
    form = ""
    for index, char in enumerate(letters):
        between_numbers = at(index - 1).isdigit() and (at(index + 1).isdigit() or at(index + 1) == ".")
        before_number = at(index - 1).isalpha() and at(index + 1) in ("-", ".")
        form += char if char != " " or between_numbers or before_number else ""
    return form


def test_as_a_slow_reading_of_the_same_rules():
    draw = random.Random(0)
    for _ in range(20_000):
        words = [
            draw.choice(["left", "at", "7", "42", "3.5", ".5", "-", ".", "- ", " -"]) for _ in range(draw.randint(1, 4))
        ]
        text = draw.choice(["", " "]).join(words)
        if re.search(r"-[ .]*-|\. *\.|\d ?[a-z]+ *-", text) or text.strip() == "-":
            continue  # two dashes or points, and ranges of units, have rules of their own
        assert normalize_answer(text) == slow_form(text), text


def test_hostile_text_takes_linear_time():
    for unit in [
        "$a",
        "'a",
        '"1 ',
        "<-",
        "- ",
        "1,000",
        "1 - ",
        r"\frac{1}{",
        r"\boxed{",
        "1..",
        "½",
        "²",
        "1;",
        "<_=",
        "a -",
        "-",
        "(1,",
        "|1+",
        "((a+",
    ]:
        assert_linear(normalize_answer, unit * (100_000 // len(unit)))
