import json
import re
import unicodedata
from dataclasses import replace
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from easyr1_fgrpo.judges.fence import fence
from easyr1_fgrpo.judges.prompt import Prompt
from easyr1_fgrpo.judges.protocol import LABELS, JudgeRequest, Label, Question

from .injections import INJECTIONS

PICTURE = Image.new("RGB", (200, 100))
CONSISTENCY = JudgeRequest(
    Question.CONSISTENCY, "Is the cat left or right?", context="The cat is left. So left.", answer="left"
)
GROUNDING = JudgeRequest(
    Question.GROUNDING, "Is the cat left or right?", (PICTURE,), context="A dog. ", claim="The cat is left."
)
REQUEST = {Question.CONSISTENCY: CONSISTENCY, Question.GROUNDING: GROUNDING}
KEYS = {
    "consistency": ["question", "reasoning", "final_answer"],
    "grounding": ["image_sizes", "question", "reasoning_before", "latest_sentence"],
    "grounding_rollout": ["image_sizes", "question", "reasoning", "sentences"],
}
PROMPTS = {
    "consistency": Prompt.load(Question.CONSISTENCY),
    "grounding": Prompt.load(Question.GROUNDING),
    "grounding_rollout": Prompt.load(Question.GROUNDING, per_rollout=True),
}
FIELDS = [
    *(("consistency", name) for name in ("question", "context", "answer")),
    *((prompt, name) for prompt in ("grounding", "grounding_rollout") for name in ("question", "context", "claim")),
]
MARKERS = re.compile(r"<|\[/?[A-Za-z@]|\[e~\[|\]~")
LONGEST = 50_000


def url(image):
    return f"image:{image.width}x{image.height}"


def case_of(prompt, *requests):
    return prompt.messages(requests, url)[1]["content"][-1]["text"]


def whole(prompt, *requests):
    """All that a chat template puts one after the other."""
    system, user = prompt.messages(requests, url)
    parts = [part["text"] if part["type"] == "text" else part["image_url"]["url"] for part in user["content"]]
    return "\n".join([system["content"], *parts])


def parts_of(case):
    """The data of a case and the line after them."""
    data, end = json.JSONDecoder(object_pairs_hook=list).raw_decode(case)
    return data, case[end:]


# ---------------------------------------------------------------------- what is sent


def test_consistency_is_text_only():
    system, user = PROMPTS["consistency"].messages([replace(CONSISTENCY, images=(PICTURE,))], url)
    assert system["role"] == "system"
    assert "YES, NO or UNCERTAIN" in system["content"]
    assert user["role"] == "user"
    (text,) = user["content"]
    data, after = parts_of(text["text"])
    assert data == [
        ("question", CONSISTENCY.question),
        ("reasoning", CONSISTENCY.context),
        ("final_answer", CONSISTENCY.answer),
    ]
    assert after == "\n\nDoes the reasoning lead to the final answer? Reply with one word: YES, NO or UNCERTAIN."


def test_grounding_sends_the_images_first():
    request = replace(GROUNDING, images=(PICTURE, Image.new("RGB", (28, 56))))
    system, user = PROMPTS["grounding"].messages([request], url)
    assert "CORRECT, INCORRECT or SKIP" in system["content"]
    assert user["content"][:2] == [
        {"type": "image_url", "image_url": {"url": "image:200x100"}},
        {"type": "image_url", "image_url": {"url": "image:28x56"}},
    ]
    data, after = parts_of(user["content"][2]["text"])
    assert data == [
        ("image_sizes", [[200, 100], [28, 56]]),
        ("question", GROUNDING.question),
        ("reasoning_before", "A dog. "),
        ("latest_sentence", "The cat is left."),
    ]
    assert after == "\n\nJudge the latest sentence by the images. Reply with one word: CORRECT, INCORRECT or SKIP."


def test_a_rollout_is_one_call():
    second = replace(GROUNDING, context="A dog. The cat is left. Hm. ", claim="It is red.")
    data, after = parts_of(case_of(PROMPTS["grounding_rollout"], GROUNDING, second))
    assert data[2:] == [
        ("reasoning", "A dog. The cat is left. Hm. It is red."),
        ("sentences", [("1", "The cat is left."), ("2", "It is red.")]),
    ]
    assert "a JSON array of labels, 2 in all" in after


def test_requests_that_a_prompt_does_not_ask_are_refused():
    for name, requests in [
        ("grounding", []),
        ("grounding", [GROUNDING, GROUNDING]),
        ("grounding", [CONSISTENCY]),
        ("consistency", [GROUNDING]),
        ("grounding_rollout", []),
        ("grounding_rollout", [GROUNDING, CONSISTENCY]),
    ]:
        with pytest.raises(ValueError, match=f"this prompt asks one .* of {PROMPTS[name].question}"):
            PROMPTS[name].messages(requests, url)


def test_boxes_are_written_as_the_model_knows_them():
    request = replace(GROUNDING, context="A <bbox>[0,0,20,10]</bbox>. ", claim="A <bbox>[20,10,100,50]</bbox>.")
    pixels, thousand = (Prompt.load(Question.GROUNDING, coordinates=name) for name in ("pixels", "thousand"))
    data = dict(parts_of(case_of(pixels, request))[0])
    assert (data["reasoning_before"], data["latest_sentence"]) == ("A [0, 0, 20, 10]. ", "A [20, 10, 100, 50].")
    data = dict(parts_of(case_of(thousand, request))[0])
    assert (data["reasoning_before"], data["latest_sentence"]) == ("A [0, 0, 100, 100]. ", "A [100, 100, 500, 500].")
    assert "image_sizes" not in data
    assert "in pixels" in pixels.rules
    assert "thousandths" not in pixels.rules
    assert "in thousandths" in thousand.rules
    assert "pixels, counted" not in thousand.rules


def test_consistency_sees_boxes_as_the_policy_wrote_them():
    request = replace(CONSISTENCY, context="A <bbox>[20,10,100,50]</bbox>.")
    for coordinates in ("pixels", "thousand"):
        case = case_of(Prompt.load(Question.CONSISTENCY, coordinates=coordinates), request)
        assert dict(parts_of(case)[0])["reasoning"] == "A [20, 10, 100, 50]."


def test_repetition_is_what_the_config_says():
    for per_rollout in [False, True]:
        skip, incorrect = (
            Prompt.load(Question.GROUNDING, repetition=name, per_rollout=per_rollout).rules
            for name in ("skip", "incorrect")
        )
        assert "is SKIP, be the claim true or false" in " ".join(skip.split()), per_rollout
        assert "is INCORRECT, even where the claim is true" in " ".join(incorrect.split()), per_rollout
        assert len(set(skip.splitlines()) ^ set(incorrect.splitlines())) <= 4, per_rollout


# ---------------------------------------------------------------------- prefix cache


@given(st.lists(st.text(min_size=1).map(lambda text: f"{text}. "), min_size=2, max_size=6))
def test_sentences_of_a_trace_share_all_until_their_contexts_differ(sentences):
    prompt = PROMPTS["grounding"]
    requests = [
        replace(GROUNDING, context="".join(sentences[:number]), claim=sentence.strip())
        for number, sentence in enumerate(sentences)
    ]
    texts = [whole(prompt, request) for request in requests]
    for request, text, following in zip(requests, texts, texts[1:], strict=False):
        shared = text.index(fence(request.context, 10**6) + ",\n") + len(fence(request.context, 10**6)) - 1
        assert following.startswith(text[:shared])


def test_rollouts_of_a_prompt_share_rules_images_and_question():
    for name in PROMPTS:
        request = REQUEST[PROMPTS[name].question]
        first, second = (
            whole(PROMPTS[name], request),
            whole(PROMPTS[name], replace(request, context="Other.", claim="Too.")),
        )
        shared = first.index(f'"question": {json.dumps(request.question)}') + len(request.question)
        assert first[:shared] == second[:shared], name


# ---------------------------------------------------------------------- untrusted text


def test_injected_text_stays_in_its_string():
    for prompt, field in FIELDS:
        for name, text in INJECTIONS:
            check_injection(prompt, field, text, f"{name} as {field} of {prompt}")


def check_injection(prompt, field, text, case_name):
    harmless = "A harmless text."
    messages, expected = (
        PROMPTS[prompt].messages([replace(REQUEST[PROMPTS[prompt].question], **{field: value})], url)
        for value in (text, harmless)
    )
    case = messages[1]["content"].pop()["text"]
    harmless_case = expected[1]["content"].pop()["text"]
    assert messages == expected, case_name

    literals = re.compile(r'"(?:[^"\\]|\\.)*"')
    strings, harmless_strings = literals.findall(case), literals.findall(harmless_case)
    assert len(strings) == len(harmless_strings), case_name
    changed = [old for new, old in zip(strings, harmless_strings, strict=True) if new != old]
    assert all(harmless in old for old in changed), case_name
    assert len(changed) == (2 if (prompt, field) == ("grounding_rollout", "claim") else 1), case_name
    assert literals.sub('""', case) == literals.sub('""', harmless_case), case_name

    data, _ = parts_of(case)
    assert [key for key, _ in data] == KEYS[prompt], case_name
    for form in ("NFC", "NFKC"):
        assert not MARKERS.search(unicodedata.normalize(form, case)), case_name
    assert len(case) < LONGEST, case_name


def test_injections_are_many_and_differ():
    assert len({name for name, _ in INJECTIONS}) == len({text for _, text in INJECTIONS}) == len(INJECTIONS) >= 60


def test_rules_hold_no_markup_either():
    for name, prompt in PROMPTS.items():
        assert "<" not in prompt.rules, name
        assert "\n\n\n" not in prompt.rules, name


# ---------------------------------------------------------------------- answers


def test_an_answer_is_a_label_and_nothing_else():
    for question, text, label in [
        (Question.CONSISTENCY, "YES", Label.YES),
        (Question.CONSISTENCY, " no.\n", Label.NO),
        (Question.CONSISTENCY, "Uncertain", Label.UNCERTAIN),
        (Question.GROUNDING, "INCORRECT", Label.INCORRECT),
        (Question.GROUNDING, "skip", Label.SKIP),
        (Question.CONSISTENCY, "CORRECT", None),
        (Question.GROUNDING, "YES", None),
        (Question.CONSISTENCY, "", None),
        (Question.CONSISTENCY, "YES..", None),
        (Question.CONSISTENCY, "YES YES", None),
        (Question.CONSISTENCY, "YES, it is.", None),
        (Question.CONSISTENCY, "Verdict: YES", None),
        (Question.CONSISTENCY, '"YES"', None),
        (Question.CONSISTENCY, "**YES**", None),
        (Question.CONSISTENCY, "ＹＥＳ", None),
        (Question.GROUNDING, "ſkıp", None),
        (Question.GROUNDING, "NOT CORRECT", None),
        (Question.GROUNDING, '["SKIP"]', None),
    ]:
        assert Prompt.load(question).parse(text, 1) == (None if label is None else [label]), text


def test_a_rollout_answer_is_an_array_of_as_many_labels():
    for text, labels in [
        ('["CORRECT", "skip"]', [Label.CORRECT, Label.SKIP]),
        (' [\n"INCORRECT","INCORRECT"]\n', [Label.INCORRECT, Label.INCORRECT]),
        ('["CORRECT"]', None),
        ('["CORRECT", "SKIP", "SKIP"]', None),
        ('["CORRECT", "YES"]', None),
        ('["CORRECT", "so", "SKIP"]', None),
        ('["CORRECT", null]', None),
        ('{"1": "CORRECT", "2": "SKIP"}', None),
        ('```json\n["CORRECT", "SKIP"]\n```', None),
        ('["CORRECT", "SKIP"', None),
        ("CORRECT, SKIP", None),
        ("[" * 100_000, None),
        ("9" * 5_000, None),
        ("", None),
    ]:
        assert PROMPTS["grounding_rollout"].parse(text, 2) == labels, text[:40]


@given(st.text())
def test_parsing_never_raises(text):
    for prompt in PROMPTS.values():
        assert prompt.parse(text, 1) is None or text.strip().strip('[]"').rstrip(".").upper() in set(Label)


def test_whatever_the_structure_allows_can_be_read():
    for name in PROMPTS:
        prompt = PROMPTS[name]
        structure = prompt.structure(3)
        if prompt.per_rollout:
            schema = structure["json"]
            assert (schema["type"], schema["minItems"], schema["maxItems"]) == ("array", 3, 3), name
            choices = schema["items"]["enum"]
            answers = [prompt.parse(json.dumps([choice] * 3), 3) for choice in choices]
        else:
            choices = structure["choice"]
            answers = [prompt.parse(choice, 1) for choice in choices]
        assert {label for labels in answers for label in labels} == LABELS[prompt.question], name
        assert len(choices) == 3, name


# ---------------------------------------------------------------------- templates


def template(tmp_path, rules="Be fair.", case="{{ question }} {{ context }} {{ claim }}"):
    path = tmp_path / "mine.jinja"
    path.write_text(f"{{% block rules %}}{rules}{{% endblock %}}{{% block case %}}{case}{{% endblock %}}")
    return path


def test_a_template_of_ones_own(tmp_path):
    path = template(tmp_path, "Boxes: {{ coordinates }}.", "Q {{ question }} C {{ context }} S {{ claim }}")
    system, user = Prompt.load(Question.GROUNDING, template=path).messages([GROUNDING], url)
    assert system["content"] == "Boxes: pixels."
    assert user["content"][1]["text"] == 'Q "Is the cat left or right?" C "A dog. " S "The cat is left."'


def test_a_template_of_ones_own_may_include_ours(tmp_path):
    path = template(tmp_path, 'My task.\n{% include "grounding_rules.jinja" %}')
    assert "Check every visual claim" in Prompt.load(Question.GROUNDING, template=str(path)).rules


def test_a_template_with_a_mistake_is_refused(tmp_path):
    for changes, message in [
        ({"case": "{{ clame }}"}, "'clame' is undefined; rules knows coordinates and repetition, case also question"),
        ({"case": "{{ question }} {{ context }}"}, "case does not show claim: write {{ claim }} there"),
        ({"rules": "{{ claim }}"}, "'claim' is undefined"),
        ({"rules": "\n{% if %}"}, ", line 2: Expected an expression"),
        ({"rules": "{{ 1 / 0 }}"}, "division by zero"),
        ({"rules": '{% include "nothing.jinja" %}'}, "nothing.jinja"),
    ]:
        with pytest.raises(ValueError, match=rf"prompt template .*mine\.jinja.*{re.escape(message)}"):
            Prompt.load(Question.GROUNDING, template=template(tmp_path, **changes))


def test_a_template_without_its_blocks_is_refused(tmp_path):
    path = tmp_path / "mine.jinja"
    path.write_text("{% block rules %}Be fair.{% endblock %}{{ claim }}")
    with pytest.raises(ValueError, match=r"mine\.jinja: no block case: write \{% block case %\}"):
        Prompt.load(Question.GROUNDING, template=path)


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere\.jinja: cannot be read"):
        Prompt.load(Question.GROUNDING, template=tmp_path / "nowhere.jinja")
    (tmp_path / "binary.jinja").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"binary\.jinja: cannot be read .* give a UTF-8 text file"):
        Prompt.load(Question.GROUNDING, template=tmp_path / "binary.jinja")


def test_consistency_cannot_be_asked_per_rollout():
    with pytest.raises(ValueError, match="grounding only"):
        Prompt.load(Question.CONSISTENCY, per_rollout=True)


def test_the_version_tells_wordings_apart(tmp_path):
    prompts = [
        *PROMPTS.values(),
        Prompt.load(Question.GROUNDING, coordinates="thousand"),
        Prompt.load(Question.GROUNDING, repetition="incorrect"),
        Prompt.load(Question.GROUNDING, template=template(tmp_path)),
        Prompt.load(Question.GROUNDING, template=template(tmp_path, "Be very fair.")),
        Prompt.load(
            Question.GROUNDING, template=template(tmp_path, "Be fair.{% if coordinates == 'no' %}No.{% endif %}")
        ),
    ]
    assert len({prompt.version for prompt in prompts}) == len(prompts)
    assert Prompt.load(Question.GROUNDING).version == PROMPTS["grounding"].version
    assert re.fullmatch("[0-9a-f]{12}", PROMPTS["grounding"].version)


@pytest.mark.parametrize(("name", "value"), [("MAX_CLAIM", 7_999), ("plain_boxes", lambda text, size: text)])
def test_the_version_knows_how_texts_are_written(monkeypatch, name, value):
    monkeypatch.setattr(f"easyr1_fgrpo.judges.prompt.{name}", value)
    assert Prompt.load(Question.GROUNDING).version != PROMPTS["grounding"].version


def test_templates_are_in_the_package():
    names = {item.name for item in (files("easyr1_fgrpo.judges") / "prompts").iterdir()}
    assert {"consistency.jinja", "grounding.jinja", "grounding_rollout.jinja", "grounding_rules.jinja"} <= names
