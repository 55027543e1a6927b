"""A tiny model from anybody's rows: its tokenizer, its traces, and the rule in place of a judge."""

import random

import pytest
from easy_vqa import make

from data_prep.own.importing import import_rows
from data_prep.own.look import Wishes, look
from data_prep.sets.validate import validate
from easyr1_fgrpo.judges.protocol import JudgeRequest, Label, Question
from easyr1_fgrpo.miniature.own.build import TRACE_FILE, build
from easyr1_fgrpo.miniature.own.judge import ConclusionJudge, judge_consistency
from easyr1_fgrpo.miniature.own.tokenizer import train_tokenizer
from easyr1_fgrpo.miniature.own.traces import Answers, response
from easyr1_fgrpo.rewards import parse_response
from easyr1_fgrpo.rows import Row, read_rows, write_rows
from easyr1_fgrpo.task_prompt import INSTRUCTION

BUDGET = {"seed": 0, "min_pixels": 7056, "max_pixels": 12544}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    make(folder / "easy", pictures=20)
    wishes = Wishes({})
    found = look(str(folder / "easy/questions.json"), folder / "easy/images", wishes)
    import_rows(found, folder / "data", wishes)
    return folder / "data"


def test_any_text_survives_the_tokenizer_and_the_system_turn_is_one_token():
    texts = ["what color is the circle?", "Où est la tasse ?", "杯子在哪里?", "<think>So the answer is blue.</think>"]
    tokenizer = train_tokenizer(texts, INSTRUCTION)
    for text in (*texts, INSTRUCTION, "words 123 never seen, ÄÖ 🙂\n<answer>x</answer>"):
        assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text
    assert len(tokenizer(INSTRUCTION)["input_ids"]) == 1
    again = train_tokenizer(texts, INSTRUCTION)
    assert again.get_vocab() == tokenizer.get_vocab()


def test_traces_err_as_often_as_they_should_and_boxes_are_in_the_policys_pixels(data):
    row = next(read_rows(data / "train.parquet"))
    values = row.model_dump(by_alias=True)
    values["extra_info"] |= {"choices": ["red", "blue", "tan"], "boxes": [[16, 0, 32, 64]]}
    values["reward_model"]["ground_truth"] = "blue"
    row, rng, n = Row.model_validate(values), random.Random(0), 2000
    parsed = [parse_response(response(row, Answers(), (112, 84), rng)) for _ in range(n)]
    assert all(one.well_formed for one in parsed)
    assert {one.boxes for one in parsed} == {((28.0, 0.0, 56.0, 84.0),)}  # 64 x 64 pixels, seen at 112 x 84
    kinds = [(one.trace.rpartition(" ")[2].rstrip("."), one.answer) for one in parsed]
    assert {concluded for concluded, _ in kinds} == {"red", "blue", "tan"}
    wrong = [kind for kind in kinds if kind[0] != "blue"]
    assert len(wrong) / n == pytest.approx(0.3, abs=0.03)
    assert sum(answer == "blue" for _, answer in wrong) / len(wrong) == pytest.approx(0.3, abs=0.05)
    assert all(answer == concluded for concluded, answer in wrong if answer != "blue")


def test_what_is_made_from_rows_is_whole_and_made_from_these_rows_only(data, tmp_path):
    from transformers import AutoTokenizer

    from easyr1_fgrpo.generation.processor import load_processor

    build(data / "train.parquet", tmp_path / "a", traces=100, **BUDGET)
    problems, totals = validate([tmp_path / "a" / TRACE_FILE])
    assert (problems, totals["traces"]) == ([], 100)  # of 72 rows
    load_processor(str(tmp_path / "a"))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "a")
    (val, *_) = read_rows(data / "val.parquet")
    text = tokenizer.apply_chat_template([message.model_dump() for message in val.prompt], tokenize=False)
    assert len(tokenizer(text)["input_ids"]) < 40
    made = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    build(data / "train.parquet", tmp_path / "a", traces=100, **BUDGET)
    build(data / "train.parquet", tmp_path / "b", traces=100, **BUDGET)
    for folder in ("a", "b"):
        assert {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()} == made
    write_rows(tmp_path / "other.parquet", [row.model_dump(by_alias=True) for row in read_rows(data / "val.parquet")])
    with pytest.raises(ValueError, match="begun with other settings"):
        build(tmp_path / "other.parquet", tmp_path / "a", **BUDGET)


QUESTION = "What is it?\nA. red cup\nB. blue cup"


@pytest.mark.parametrize(
    ("trace", "answer", "label"),
    [
        ("I see it. So the answer is red cup.", "red cup", Label.YES),
        ("So the answer is: Red cup!", "A", Label.YES),
        ("The answer is A. So it is.", "red cup", Label.YES),
        ("So the answer is blue cup.", "red cup", Label.NO),
        ("The answer is red cup. Wait. The answer is blue cup.", "red cup", Label.NO),
        ("The answer is blue cup. Wait. The answer is red cup.", "red cup", Label.YES),
        ("It is a red cup.", "red cup", Label.UNCERTAIN),
        ("", "red cup", Label.UNCERTAIN),
    ],
)
def test_the_rule(trace, answer, label):
    assert judge_consistency(QUESTION, trace, answer) is label


def test_the_rule_with_a_free_answer_and_hostile_text():
    assert judge_consistency("What?", "So the answer is 3.5.", "3.5") is Label.YES
    assert judge_consistency("What?", "So the answer is yes.", "no") is Label.NO
    assert judge_consistency("What?", "answer is " * 20_000, "no") is Label.NO


async def test_the_rule_judges_no_grounding():
    verdict = await ConclusionJudge().ask(JudgeRequest(Question.GROUNDING, QUESTION, claim="It is red."))
    assert (verdict.label, verdict.cause) == (None, "it does not look at pictures: consistency only")
