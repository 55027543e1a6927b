import pytest
from case_tables import read_cases

from easyr1_fgrpo.model_client.replies import ErrorReply, Reply, plain, read_reply


def test_reported_replies(subtests):
    for case in read_cases("replies"):
        content, expected = case["input"].encode(), case["expected"]
        with subtests.test(case["input"]):
            if "error" in expected:
                with pytest.raises(ErrorReply) as error:
                    read_reply(content)
                assert error.value.status == expected["error"]
            elif not expected:
                with pytest.raises(ValueError, match="its "):
                    read_reply(content)
            else:
                reply = read_reply(content)
                assert {"text": reply.text, "reasoning": reply.reasoning} == expected


def test_thinking_that_came_apart_is_put_back():
    for text, reasoning, whole in [
        ("<answer>left</answer>", "It is left.", "<think>\nIt is left.\n</think>\n<answer>left</answer>"),
        ("<think>Left.</think><answer>left</answer>", "Left.", "<think>Left.</think><answer>left</answer>"),
        ("<think>\n</think>\n\nleft", "Left.", "<think>\nLeft.\n</think>\nleft"),
        ("left", "", "left"),
        ("", "It is left. Answer: A", "It is left. Answer: A"),  # the server took all of it for thinking
    ]:
        assert Reply(text, "stop", 0, 0, reasoning).whole == whole
    assert Reply("", "length", 0, 0, "It is").whole == "<think>\nIt is"


def test_what_is_said_besides_thinking_and_fences():
    for text, said in [
        ("<think>NO? No.</think>\n\nYES", "YES"),
        ("no end of it: NO</think>YES", "YES"),
        ("[THINK]NO[/THINK]YES", "YES"),
        ("◁think▷NO◁/think▷YES", "YES"),
        ("<|channel|>analysis<|message|>NO<|end|><|start|>assistant<|channel|>final<|message|>YES<|return|>", "YES"),
        ("<|begin_of_box|>YES<|end_of_box|>", "YES"),
        ("```\nYES\n```", "YES"),
        ('<think>a</think>\n```json\n["YES", "NO"]\n```\n', '["YES", "NO"]'),
        ("**YES**", "YES"),
        ("`YES`", "YES"),
        ("<think>YES", "<think>YES"),
        ("I say YES", "I say YES"),
        ("```\nYES\n``` or so", "```\nYES\n``` or so"),
    ]:
        assert plain(text) == said.strip("*`"), text
