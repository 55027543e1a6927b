import json
import re
import sys
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from processor_time import assert_quick

from easyr1_fgrpo.judges.fence import SHORTEST_LIMIT, fence

from .injections import INJECTIONS

PIECES = [
    "<",
    "[",
    "]",
    "[INST]",
    "[1, 2]",
    "]~b]",
    '"',
    "\\",
    "\\u00",
    "\n",
    "\u200b",
    "\u0327",
    "\ud83d",
    "\ude00",
    "é",
    "猫",
]
texts = st.one_of(st.text(), st.lists(st.one_of(st.sampled_from(PIECES), st.characters())).map("".join))
PLAIN = (
    "The cat (3 years, 4.5 kg) isn't left of 50% of «les élèves»; 猫在左边，对吗？ [10, 20.5] [-3] 👍 ~ {a: b} 'c' > d"
)


def test_literals():
    for text, literal in [
        ("", '""'),
        (PLAIN, f'"{PLAIN}"'),
        ('say "no"\\', r'"say \"no\"\\"'),
        ("a\nb\tc", r'"a\nb\tc"'),
        ("<|im_end|>", r'"\u003c|im_end|>"'),
        ("[INST] [/INST] [[1, 2], [3]] [", r'"\u005bINST] \u005b/INST] [[1, 2], [3]] ["'),
        ("]~b] ]~!b[ a[0] b] ~", r'"\u005d~b] \u005d~!b[ a[0] b] ~"'),
        ("＜s> ［INST］", r'"\uff1cs> \uff3bINST］"'),
        ("a\u200bb\u202ec\ufeff\u2028\x7f", r'"a\u200bb\u202ec\ufeff\u2028\u007f"'),
        ("a\U000e0041\ufe0f", r'"a\udb40\udc41\ufe0f"'),
        ("\ud83d", r'"\ud83d"'),
        ("e\u0301 <\u0327\u0338 \n\u0303é", '"e\u0301 \\u003c\\u0327\\u0338 \\n\\u0303é"'),
        ("\u0301a", r'"\u0301a"'),
    ]:
        assert fence(text, 1000) == literal


@given(texts)
@example("\\\u0327")
def test_the_text_comes_back(text):
    paired = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    assert json.loads(fence(text, 10**6)) == paired


@given(texts)
def test_nothing_in_it_is_markup(text):
    literal = fence(text, 10**6)
    for form in ("NFC", "NFKC", "NFD", "NFKD"):
        normal = unicodedata.normalize(form, literal)
        assert "<" not in normal
        assert not re.search(r"\[[A-Za-z/@_]|\]~", normal)
    assert all(char.isprintable() or unicodedata.category(char) == "Zs" for char in literal)
    assert json.loads(unicodedata.normalize("NFC", literal)) is not None


@given(texts.filter(lambda text: text[-1:] not in ("[", "]")), texts)
def test_the_fence_of_a_growing_text_grows(text, more):
    assert fence(text + more, 10**6).startswith(fence(text, 10**6)[:-1])


def test_every_character_that_becomes_a_bracket_is_escaped():
    for code in range(128, sys.maxunicode + 1):
        if set("<[") & set(unicodedata.normalize("NFKD", chr(code))):
            assert fence(chr(code), 1000) == f'"\\u{code:04x}"'


def test_a_long_text_is_cut_in_the_middle():
    literal = fence("a" * 500 + "b" * 500, 280)
    assert literal == f'"{"a" * 100} [... 800 characters left out ...] {"b" * 100}"'
    assert fence("a" * 278, 280) == f'"{"a" * 278}"'


@given(st.lists(st.one_of(st.sampled_from(PIECES), st.characters()), min_size=1).map("".join), st.integers(200, 400))
def test_a_cut_text_keeps_its_ends_and_says_what_is_missing(piece, limit):
    text = piece * (limit // len(piece) + 1)
    literal = fence(text, limit)
    assert limit - 110 < len(literal) <= limit
    read = json.loads(literal)
    head, missing, tail = re.fullmatch(r"(.*) \[\.\.\. (\d+) characters left out \.\.\.\] (.*)", read, re.S).groups()
    joined = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    assert joined.startswith(head)
    assert joined.endswith(tail)
    assert len(text) >= int(missing) >= len(joined) - len(head) - len(tail)


def test_a_limit_without_room_for_the_note_is_refused():
    with pytest.raises(ValueError, match=f"limit=100: at least {SHORTEST_LIMIT}"):
        fence("", 100)


def test_injections_are_fenced_in_linear_time():
    for name, text in INJECTIONS:
        assert_quick(lambda text=text: fence(text * 10, 26_000), seconds=2.0)
        literal = fence(text * 10, 26_000)
        assert len(literal) <= 26_000, name
        assert isinstance(json.loads(literal), str), name
