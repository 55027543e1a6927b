# Any text parses, in time that grows with its length and no faster.
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from processor_time import assert_linear

from easyr1_fgrpo.evaluation.styles import STYLES

PIECES = [
    *("<think>", "</think>", "<answer>", "</answer>", "<box>", "</box>", "<bbox>", "</bbox>"),
    *(r"\boxed{", r"\boxed {", r"\text{", "{", "}", r"\{", "\\", "$", "**", "`", "#"),
    *("Final Answer:", "answer", "answer is", "final answer\n", "correct answer", ":", "：", "is"),
    *(
        "(1, 2)",
        "[1,2,3,4]",
        "(",
        "[",
        ")",
        "]",
        ",",
        "1",
        "9" * 400,
        ".",
        " ",
        "\t",
        "\n",
        "A",
        "A. left",
        "é",
        *("the answer is", "not", "or", "B is the correct option", "because", "left", "<|im_end|>", "B"),
        "\x00",
        "\ud800",
    ),
]
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=25).map("".join)


@pytest.mark.parametrize("name", STYLES)
@settings(max_examples=60)
@given(text=TEXTS)
def test_any_text_parses(name, text):
    parsed = STYLES[name].parse(text, ["A. left", "right", ""])
    for part in (parsed.trace, parsed.answer):
        assert part is None or (part == part.strip() and part and part in text)
    assert all(x1 <= x2 and y1 <= y2 for x1, y1, x2, y2 in parsed.boxes)
    assert not parsed.format_ok or parsed.answer is not None
    assert not parsed.format_ok or name == "direct" or parsed.trace is not None


SIZE = 200_000
REPEATED = ["<think>", "<answer>", "<box>", r"\boxed{", "{", "}", "answer", "final answer\n", "(", "[1,", "1", "\ud800"]
HOSTILE = {
    **{f"many {piece!r}": piece * (SIZE // len(piece)) for piece in REPEATED},
    "think then many answers": "<think>" + "<answer>A</answer>" * (SIZE // 18),
    "nested wrappings": r"\boxed{" + r"\text{" * (SIZE // 6) + "A" + "}" * (SIZE // 6 + 1),
    "boxes": "<think>" + "<box>[1,2,3,4]</box>" * (SIZE // 20) + "</think><answer>A</answer>",
    "open boxes": "<box>[1,2,3,4" * (SIZE // 13),
    "points": "<think>" + "(1, 2)" * (SIZE // 6) + "</think><answer>A</answer>",
    "half points": "(1 , " * (SIZE // 5),
    "announcements in a line": "answer: A " * (SIZE // 10),
    "announcements before blanks": ("final answer" + " " * 80) * (SIZE // 92),
    "statements": "B is the best answer. " * (SIZE // 22),
    "alternatives": "the answer is " + "left, " * (SIZE // 6),
    "leads": "so the " * (SIZE // 7) + "answer: A",
    "blanks": "answer" + " " * SIZE + "<answer>" + "\n" * SIZE,
    "prose": "Wait, the lamp is left of the bed. " * (SIZE // 35) + r"\boxed{A}",
}


def test_200_kb_of_anything_parse_in_linear_time():
    for style in STYLES.values():
        for text in HOSTILE.values():
            assert_linear(lambda text, style=style: style.parse(text, ["left", "right"]), text)


def test_floods_of_coordinates_are_bounded():
    assert len(STYLES["treevgr"].parse(HOSTILE["boxes"]).boxes) == 1000
    assert len(STYLES["vigorl_spatial"].parse(HOSTILE["points"]).points) == 1000
