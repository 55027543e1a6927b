"""`fgrpo data import` of conversations: no question of theirs is lost."""

import base64

import pyarrow as pa
import pyarrow.parquet as pq
from source_files import picture

from .imported import PICTURES, every, imported, jsonl, records


def test_conversations_and_rows_of_verl(home):
    turns = [{"from": "human", "value": "<image>\nRed or blue?"}, {"from": "gpt", "value": "Red."}]
    rows, _, _ = imported(home, jsonl(home, [{"image": f"{n}.png", "conversations": turns} for n in range(PICTURES)]))
    assert (every(rows)[0].extra_info.question, every(rows)[0].reward_model.ground_truth) == ("Red or blue?", "Red")
    prompt = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "<image>Red or blue?"}]
    verl = {"data_source": "x", "prompt": prompt, "reward_model": {"style": "rule", "ground_truth": "red"}}
    held = [verl | {"images": [{"bytes": picture(n, 100, 50, "PNG")}]} for n in range(PICTURES)]
    pq.write_table(pa.Table.from_pylist(held), home / "verl.parquet")
    rows, _, shown = imported(home, home / "verl.parquet")
    assert "answer    column reward_model.ground_truth (by its name)" in shown
    assert every(rows)[0].extra_info.question == "Red or blue?"


def test_every_question_of_a_conversation_is_a_row_or_a_reject(home):
    turns = [("human", "<image>\nRed or blue?"), ("gpt", "Red."), ("human", "How many cups are there?"), ("gpt", "2")]
    turns += [("human", "What color is it?"), ("gpt", "blue"), ("human", "Green?")]
    told = [{"from": who, "value": text} for who, text in turns]
    given = [{"image": f"{n}.png", "conversations": told} for n in range(PICTURES)]
    rows, rejects, shown = imported(home, jsonl(home, given), "--val", "0.2")
    assert [row.reward_model.ground_truth for row in every(rows)] == ["Red", "2"] * PICTURES
    reasons = ["a question that goes on an earlier one", "a question without an answer"] * PICTURES
    assert [reject["reason"] for reject in rejects] == reasons
    assert f"in {4 * PICTURES} = " in shown


def test_what_alpaca_and_swift_put_beside_a_question_is_read(home):
    """LLaMA-Factory's `input` belongs to the instruction, and a `history` holds earlier questions."""
    made = {
        "alpaca": {"instruction": "Which?", "input": "The cup or the book?", "output": "cup"},
        "swift": {"query": "Red or blue?", "response": "red", "history": [["How many cups are there?", "2"]]},
        "plain": {"query": "Red or blue?", "response": "red"},
    }
    for name, asked in {
        "alpaca": [("Which?\nThe cup or the book?", "cup")],
        "swift": [("How many cups are there?", "2"), ("Red or blue?", "red")],
        "plain": [("Red or blue?", "red")],
    }.items():
        given = [made[name] | {"images": [f"{n}.png"]} for n in range(PICTURES)]
        rows, rejects, _ = imported(home, jsonl(home, given), "--val", "0.2")
        assert rejects == []
        told = [(row.extra_info.question, row.reward_model.ground_truth) for row in every(rows)]
        assert told == asked * PICTURES, name
    boxed = records(question="What is <bbox>?", answer="<ref-object>", objects={"ref": ["cup"], "bbox": [[1, 2, 3, 4]]})
    _, rejects, _ = imported(home, jsonl(home, [*records(), *boxed]))
    assert {reject["reason"] for reject in rejects} == {"a placeholder in the text"}


def test_a_chat_export_holds_its_pictures_in_its_messages(home):
    def export(number):
        file = base64.b64encode(picture(number, 100, 50, "PNG")).decode()
        shown = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{file}"}}
        asked = [{"type": "text", "text": "Red or blue?"}, shown]
        return {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": "Red"}]}

    rows, rejects, shown = imported(home, jsonl(home, [export(number) for number in range(PICTURES)]))
    assert (rejects, "image     column images (by its name)" in shown) == ([], True)
    assert every(rows)[1].prompt[1].content == "<image>Red or blue?"
    assert every(rows)[1].images[0].data == picture(1, 100, 50, "PNG")
