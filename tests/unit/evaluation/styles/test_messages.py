# What each family of models is asked.

from easyr1_fgrpo.evaluation.benchmarks import Item
from easyr1_fgrpo.evaluation.styles import STYLES
from easyr1_fgrpo.task_prompt import INSTRUCTION

CHOICE = Item("1", "mmvp", list, "Where is {it}?", ("left", "right"), "left", "")
FREE = Item("2", "realworldqa", list, "How many?", (), "3", "")


def asked(style, item, n_images=1):
    """System text, None without one, and the user's text."""
    messages = STYLES[style].messages(item, n_images)
    *system, user = messages
    assert user["role"] == "user"
    assert [message["role"] for message in system] in ([], ["system"])
    *pictures, text = user["content"]
    assert pictures == [{"type": "image", "index": i} for i in range(n_images)]
    assert text["type"] == "text"
    return (system[0]["content"] if system else None), text["text"]


def test_ours_asks_as_in_training():
    assert asked("ours", CHOICE, 3) == (INSTRUCTION, "Where is {it}?\nA. left\nB. right")
    assert asked("ours", FREE) == (INSTRUCTION, "How many?")


def test_direct():
    ask = "Answer with the letter of the right option and nothing else."
    assert asked("direct", CHOICE) == (None, f"Where is {{it}}?\nA. left\nB. right\n{ask}")
    assert asked("direct", FREE) == (None, "How many?\nAnswer with a single word or number and nothing else.")


def test_cot():
    _, text = asked("cot", CHOICE)
    assert text.startswith("Where is {it}?\nA. left\nB. right\n\nThink step by step")
    assert text.endswith('"Answer: X", where X is the letter of the right option.')
    assert asked("cot", FREE)[1].endswith("where X is a single word or number.")


def test_r1_onevision_gives_the_hint_of_its_model_card():
    hint = "Hint: Please answer the question and provide the final answer at the end. Question: "
    assert asked("r1_onevision", CHOICE) == (None, hint + "Where is {it}?\nChoices:\n(A) left\n(B) right")
    assert asked("r1_onevision", FREE) == (None, hint + "How many?")


def test_vision_r1_lists_choices_with_colons():
    system = "You are a helpful assistant."
    assert asked("vision_r1", CHOICE) == (system, "Where is {it}?\nChoices:\nA: left\nB: right")
    assert asked("vision_r1", FREE) == (system, "How many?")


def test_vigorl_spatial_has_the_literal_line_breaks_of_its_training():
    system, text = asked("vigorl_spatial", CHOICE, 2)
    assert system.startswith("A conversation between User and Assistant. The User asks a question,")
    assert system.count(r"\n") == 14
    assert "\n" not in system
    assert system.endswith("before selecting the final answer.")
    assert text == "Where is {it}?\nA. left\nB. right"


def test_treevgr_asks_for_a_letter_after_a_prefilled_think():
    system, text = asked("treevgr", CHOICE)
    assert "MUST localize the object with bounding box coordinates between <box> and </box>" in system
    assert text.startswith("Where is {it}? Options:\nA. left\nB. right\nSelect the best answer")
    assert text.endswith("respond with only the letter of the correct option between <answer> and </answer>.")
    assert "letter" not in asked("treevgr", FREE)[1]
    assert STYLES["treevgr"].prefill == "<think>"


def test_vl_rethinker_appends_its_request_after_a_blank_line():
    request = r"Please reason step by step, and put your final answer within \boxed{}"
    assert asked("vl_rethinker", CHOICE) == (None, f"Where is {{it}}?\nA. left\nB. right\n\n{request}")
    assert asked("vl_rethinker", FREE) == (None, f"How many?\n\n{request}")


def test_styles_know_their_names():
    assert all(style.name == name for name, style in STYLES.items())
    assert [name for name, style in STYLES.items() if style.prefill] == ["treevgr"]


def test_pixel_budgets():
    for style, pixels in [
        ("treevgr", (1_003_520, 12_845_056)),
        ("vl_rethinker", (200_704, 1_003_520)),
        ("vigorl_spatial", (3_136, 4_194_304)),
        ("ours", None),
    ]:
        assert STYLES[style].pixels == pixels, style
