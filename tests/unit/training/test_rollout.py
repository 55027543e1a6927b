import math

import pytest
from PIL import Image

from easyr1_fgrpo.judges.protocol import Failure, Label, Question, Verdict
from easyr1_fgrpo.miniature.tokenizer import build_tokenizer
from easyr1_fgrpo.rewards import Reason
from easyr1_fgrpo.traces import read_traces
from easyr1_fgrpo.training.rollout import sample_of
from easyr1_fgrpo.training.sentence_tokens import SENTENCE_TOKENS

from .made_rollouts import INFO, RIGHT, WRONG, rollout_of, score, scorer_of

TOKENIZER = build_tokenizer()
SENTENCES = (
    "<think>The red circle is at <bbox>[14,14,56,42]</bbox>. The red circle is left of the blue square. So the answer"
    " is left.</think><answer>left</answer>"
)


class SaysLeftIsWrong:
    """Half of the claims are wrong, so that a sentence's verdict is not its neighbour's."""

    name = "wrong"

    async def ask(self, request):
        if request.kind is Question.CONSISTENCY:
            return Verdict(Label.YES, self.name)
        return Verdict(Label.INCORRECT if "left of" in request.claim else Label.CORRECT, self.name)


def numbers_of(scorer, text, tokenizer=TOKENIZER, **options):
    (numbers,) = score(scorer, rollout_of(text, tokenizer, **options))
    return numbers


def traces(run_dir):
    records, bad = read_traces(sorted((run_dir / "traces").glob("*.jsonl")))
    assert bad == 0
    return records


def test_a_rollout_becomes_numbers_and_a_trace(tmp_path):
    numbers = numbers_of(scorer_of(tmp_path), RIGHT)
    assert numbers["task"] == 1.0
    assert numbers["consistency"] == numbers["consistency_valid"] == 1.0
    # the box of the response is the raw box at twice the width: [14, 14, 56, 42]
    assert numbers["spatial_grounding"] == 1.0
    assert numbers["truncated"] == 0.0
    (record,) = traces(tmp_path)
    assert (record.step, record.index, record.session) == (3, 5, 2)
    assert record.response == RIGHT


def test_at_the_sentence_level_verdicts_come_with_their_tokens(tmp_path):
    constraint = {"semantic_grounding": {"threshold": 0.95}}
    scorer = scorer_of(
        tmp_path,
        judge=SaysLeftIsWrong(),
        constraint_keys=list(constraint),
        constraints=constraint,
        reward={"level": "sentence"},
    )
    numbers = numbers_of(scorer, SENTENCES)
    ids = TOKENIZER(SENTENCES)["input_ids"]
    written = [(TOKENIZER.decode(ids[a:b]), value) for a, b, value in numbers[SENTENCE_TOKENS]]
    assert written == [
        ("The red circle is at <bbox>[14,14,56,42]</bbox>.", 1.0),
        (" The red circle is left of the blue square.", 0.0),
        (" So the answer is left.", 1.0),
    ]
    assert numbers["semantic_grounding"] == pytest.approx(2 / 3)
    assert numbers_of(scorer, WRONG)[SENTENCE_TOKENS] == []  # nobody judged it
    assert SENTENCE_TOKENS not in numbers_of(scorer, SENTENCES, split="val")


def test_training_judges_correct_rollouts_only_validation_all(tmp_path):
    scorer = scorer_of(tmp_path)
    train, val = (numbers_of(scorer, WRONG, split=split) for split in ("train", "val"))
    assert (train["consistency_valid"], train["consistency_reason"]) == (0.0, float(Reason.ANSWER_WRONG))
    assert (val["consistency"], val["consistency_valid"], val["consistency_reason"]) == (1.0, 0.0, 0.0)
    assert [record.split for record in traces(tmp_path)] == ["train", "val"]


def test_a_response_at_the_limit_without_an_end_is_truncated(tmp_path):
    tokens = len(TOKENIZER(RIGHT)["input_ids"])
    limited, longer = (scorer_of(tmp_path, max_response_length=tokens + more) for more in (0, 1))
    assert numbers_of(limited, RIGHT, end=False)["truncated"] == 1.0
    assert numbers_of(longer, RIGHT, end=False)["truncated"] == 0.0
    assert numbers_of(longer, RIGHT, end=True)["truncated"] == 0.0  # the end token fits exactly


def test_a_rollout_that_cannot_be_scored_is_invalid_and_logged(tmp_path, caplog):
    def gone():
        raise FileNotFoundError("no/such/file.png")

    scorer = scorer_of(tmp_path)
    numbers = numbers_of(scorer, RIGHT, picture=gone)
    assert (numbers["task_valid"], numbers["task_reason"]) == (0.0, float(Reason.REWARD_FAILED))
    assert math.isnan(numbers["task"])
    assert numbers.keys() == numbers_of(scorer, RIGHT).keys()  # verl takes the keys from the first row
    assert "scoring failed for dataset row 5" in caplog.text
    assert "no/such/file.png" in caplog.text


def test_boxes_are_brought_to_the_size_the_policy_sees():
    row = {"extra_info": INFO, "reward_model": {"ground_truth": "left"}}
    # 42 x 84 pixels shown at 84 x 28: twice as wide, a third as high
    sample = sample_of(row, (Image.new("RGB", (84, 28)),))
    assert sample.boxes == (pytest.approx((14.0, 14 / 3, 56.0, 14.0)),)
    assert (sample.question, sample.choices) == (INFO["question"], ("left", "right"))
    assert (sample.index, sample.split) == (5, "train")


def test_null_lists_are_empty():
    row = {"extra_info": INFO | {"boxes": None, "choices": None}, "reward_model": {"ground_truth": "left"}}
    sample = sample_of(row, ())
    assert (sample.boxes, sample.choices) == ((), ())


class Characters:
    """A tokenizer of characters: the miniature's has no number beyond its pictures."""

    eos_token, eos_token_id = "\0", 0

    def __call__(self, text):
        return {"input_ids": [ord(character) for character in text]}

    def decode(self, ids, skip_special_tokens):
        return "".join(map(chr, ids)).removesuffix(self.eos_token)


def test_a_policy_that_writes_thousandths_is_scored_in_pixels(tmp_path):
    characters = Characters()
    scorer = scorer_of(tmp_path, characters, max_response_length=200, images={"coordinates": "thousand"})
    wide = Image.new("RGB", (1120, 840), "red")
    # the raw box [7, 14, 28, 42] of 42 x 84 pixels: a sixth to two thirds of the width, a sixth to a half of the height
    thousandths = RIGHT.replace("[14,14,56,42]", "[166,166,666,500]")
    numbers = numbers_of(scorer, thousandths, characters, picture=lambda: (wide,))
    assert numbers["spatial_grounding"] > 0.99
    (record,) = traces(tmp_path)
    assert record.response == thousandths
    assert record.boxes[0] == pytest.approx((0.166 * 1120, 0.166 * 840, 0.666 * 1120, 0.5 * 840))


def test_why_a_judge_failed_comes_with_the_numbers(tmp_path):
    class Gone:
        name = "gone"

        async def ask(self, request):
            return Verdict(None, self.name, Failure.UNREACHABLE, cause=f"no {request.kind}\nwas heard")

    numbers = numbers_of(scorer_of(tmp_path, judge=Gone()), RIGHT)
    assert numbers["judge_consistency_cause"] == "no consistency was heard"
    assert numbers["judge_grounding_cause"] == "no grounding was heard"
    assert numbers_of(scorer_of(tmp_path), RIGHT)["judge_grounding_cause"] == ""
