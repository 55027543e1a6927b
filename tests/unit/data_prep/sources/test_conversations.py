# Every question of a conversation is a record of its own or a reject.
from case_tables import read_cases

from data_prep.sources import Reject
from data_prep.sources.conversations import each_question, plain_turns, said


def test_reported_conversations(subtests):
    for case in read_cases("conversations"):
        turns = [dict(zip(("from", "value"), turn.split(": ", 1), strict=True)) for turn in case["input"]]
        found = [
            f"!{one.reason}" if isinstance(one, Reject) else " ".join(map(said, one["conversations"]))
            for one in each_question({"conversations": turns}, "conversations")
        ]
        with subtests.test(case["input"]):
            assert found == case["expected"]


def test_messages_in_parts_become_texts_with_marks():
    url = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    user = {"role": "user", "content": [url, {"type": "text", "text": "Red?"}, {"type": "text", "text": "Say it."}]}
    record = {"messages": [user, {"role": "assistant", "content": [{"type": "text", "text": "Yes"}]}]}
    plain = plain_turns(record)
    assert [turn["content"] for turn in plain["messages"]] == ["<image>\nRed?\nSay it.", "Yes"]
    assert plain["images"] == ["data:image/png;base64,AAAA"]
    placeholder = {"role": "user", "content": [{"type": "image", "text": None}, {"type": "text", "text": "Red?"}]}
    plain = plain_turns({"messages": [placeholder], "images": ["a.png"]})
    assert (plain["messages"][0]["content"], plain["images"]) == ("<image>\nRed?", ["a.png"])
