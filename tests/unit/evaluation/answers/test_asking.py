import json
from dataclasses import replace

import pytest
from model_endpoint import Model, scripted

from easyr1_fgrpo.evaluation.answers.asking import MAX_CHARACTERS, Answer, AnswerLog, Asking, ask
from easyr1_fgrpo.evaluation.answers.pictures import prepare
from easyr1_fgrpo.evaluation.mode import question_seed
from easyr1_fgrpo.evaluation.styles import STYLES
from easyr1_fgrpo.model_client.client import Address, ModelClient

from ..made_items import item, picture

ASKING = Asking("served", "identity", STYLES["ours"], {"temperature": 0.0, "max_tokens": 9})
ANSWERS = {
    "a": Answer("yes", True, 3),
    "b": Answer("two\nlines \ud83d and a lone surrogate", False, 0),
    "c": Answer("", False, 1),
}


def body(style, images=2):
    pictures = prepare([picture(n) for n in range(images)], None, fit=True)
    asking = replace(ASKING, style=STYLES[style])
    prompt = ({"role": "user", "content": "<image>" * images + "Which?"},)
    return json.loads(asking.body(item(1, prompt=prompt), pictures)), pictures


def test_a_request_holds_the_question_its_images_in_order_and_the_limits():
    sent, pictures = body("ours")
    assert (sent["model"], sent["temperature"], sent["max_tokens"]) == ("served", 0.0, 9)
    system, user = sent["messages"]
    assert "<think>" in str(system["content"])
    urls = [part["image_url"]["url"] for part in user["content"] if part["type"] == "image_url"]
    assert urls == [picture.data_url for picture in pictures]
    assert "Is thing 1 left or right?\nA. left\nB. right" in user["content"][-1]["text"]


def test_a_prefilled_turn_is_gone_on_with():
    sent, _ = body("treevgr", 1)
    assert sent["messages"][-1] == {"role": "assistant", "content": STYLES["treevgr"].prefill}
    assert (sent["add_generation_prompt"], sent["continue_final_message"]) == (False, True)


def test_every_style_can_be_sent():
    for style in STYLES:
        sent, _ = body(style, 3)
        assert json.dumps(sent).count("data:image/png") == 3, style
        assert '"type": "image",' not in json.dumps(sent), style


def test_trained_is_the_prompt_that_stands_beside_the_question():
    prompt = ({"role": "system", "content": "Look."}, {"role": "user", "content": "<image>Which of <image>?"})
    system, user = STYLES["trained"].messages(item(1, prompt=prompt), 2)
    assert system["content"] == [{"type": "text", "text": "Look."}]
    assert [part.get("index", part.get("text")) for part in user["content"]] == [0, "Which of ", 1, "?"]
    with pytest.raises(ValueError, match="made brings no prompts of its own"):
        STYLES["trained"].messages(item(1), 1)


def test_samples_have_a_seed_of_their_question_alone():
    sampled = replace(ASKING, seed=3)
    assert "seed" not in ASKING.request(item(1))
    assert sampled.request(item(1))["seed"] == question_seed(3, "q1") != sampled.request(item(2))["seed"]
    assert sampled.key(item(1)) != replace(ASKING, seed=4).key(item(1))


def test_the_key_names_everything_an_answer_depends_on():
    same = {ASKING.key(item(1)), replace(ASKING, served="other name").key(item(1))}
    others = {
        replace(ASKING, identity="x").key(item(1)),
        replace(ASKING, style=STYLES["cot"]).key(item(1)),
        replace(ASKING, parameters={"temperature": 0.5}).key(item(1)),
        ASKING.key(item(2)),
        ASKING.key(item(1, question="Another?")),
        ASKING.key(item(1, choices=("right", "left"))),
        ASKING.key(item(1, benchmark="other")),
    }
    assert len(same) == 1
    assert len(others) == 7
    assert not same & others


def test_answers_are_kept(tmp_path):
    path = tmp_path / "log.jsonl"
    for _ in range(2):
        log = AnswerLog(path)
        for key, answer in ANSWERS.items():
            if log.get(key) is None:
                log.put(key, answer)
        assert {key: log.get(key) for key in ANSWERS} == ANSWERS
        assert log.get("d") is None
        log.close()
    assert len(path.read_bytes().splitlines()) == 3


@pytest.mark.parametrize("torn", [b'{"key": "c", "te', b'{"key": "c"}\n', b"[]\n", b'"text"\n', b"\xff\xfe\n"])
def test_a_torn_line_costs_one_answer(tmp_path, torn):
    path = tmp_path / "log.jsonl"
    log = AnswerLog(path)
    log.put("a", ANSWERS["a"])
    log.close()
    path.write_bytes(path.read_bytes() + torn)
    for _ in range(2):
        log = AnswerLog(path)
        assert log.get("a") == ANSWERS["a"]
        if log.get("c") is None:
            log.put("c", ANSWERS["c"])
        log.close()
    assert AnswerLog(path).get("c") == ANSWERS["c"]


def test_an_endless_response_is_scored_as_one_that_was_cut():
    for answer in (Answer(""), Answer(" \n"), Answer("x" * MAX_CHARACTERS)):
        assert answer.scored is answer
    assert Answer("x" * 200_000, tokens=7).scored == Answer("x" * MAX_CHARACTERS, truncated=True, tokens=7)


async def test_thinking_that_the_server_sends_apart_is_the_trace():
    for message, text in [
        ({"content": "<answer>left</answer>", "reasoning_content": "It is left."}, response_of("It is left.")),
        ({"content": "<answer>left</answer>", "reasoning": "It is left."}, response_of("It is left.")),
        ({"reasoning": "It is left. Answer: A"}, "It is left. Answer: A"),
        ({"reasoning": "It is", "cut": True}, "<think>\nIt is"),
        ({"content": None}, ""),
    ]:
        reason = "length" if message.pop("cut", False) else "stop"
        with scripted(Model(answer=lambda asked, message=message: message, finish_reason=reason)) as model:
            async with ModelClient(Address((model.url,)), concurrency=1, deadline_s=5.0) as client:
                assert (await ask(client, ASKING, item(1), [])).text == text


def response_of(trace):
    return f"<think>\n{trace}\n</think>\n<answer>left</answer>"
