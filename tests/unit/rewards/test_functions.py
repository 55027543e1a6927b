"""Rewards as TRL and a notebook call them: keyword lists in, a list of scores or None out, in any thread."""

import subprocess
import sys

import pytest
from judge_endpoint import Script, judge_endpoint
from PIL import Image

import easyr1_fgrpo as f
from easyr1_fgrpo.judges.protocol import Failure, Label, Question

from .judges import FailingJudge, RecordingJudge

PICTURE = Image.new("RGB", (84, 84))
TRACE = "The red circle is at <bbox>[10,10,20,20]</bbox>. The red circle is left of the blue square."
RIGHT = f"<think>{TRACE}</think><answer>left</answer>"
WRONG = f"<think>{TRACE}</think><answer>right</answer>"
NO_TRACE = "<answer>left</answer>"
QUESTION = "Is red left or right of blue?"


def batch(*texts, **columns):
    """What TRL hands over for a conversational data set, its own arguments included."""
    n = len(texts)
    return {
        "prompts": [[{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": QUESTION}]}]] * n,
        "completions": [[{"role": "assistant", "content": text}] for text in texts],
        "completion_ids": [[1, 2]] * n,
        "ground_truth": ["left"] * n,
        "choices": [["left", "right"]] * n,
        "trainer_state": None,
        **columns,
    }


def test_rules_alone():
    given = batch(RIGHT, WRONG, NO_TRACE, boxes=[[[10, 10, 20, 20]], [], None])
    assert f.answer_reward(**given) == [1.0, 0.5, 0.5]
    assert f.spatial_reward(**given) == [1.0, None, None]
    # Plain text and a free answer.
    assert f.answer_reward(completions=[RIGHT, WRONG], ground_truth=["left", "left"]) == [1.0, 0.5]
    with pytest.raises(ValueError, match=r"row 1 .* ground-truth box \(9, 1, 2, 3\)"):
        f.spatial_reward(completions=[RIGHT, RIGHT], boxes=[None, [[9, 1, 2, 3]]])


def test_verdicts_become_scores_and_none_where_there_is_nothing_to_judge():
    judge = RecordingJudge(lambda request: Label.INCORRECT if "left of" in request.claim else Label.CORRECT)
    given = batch(RIGHT, WRONG, NO_TRACE, images=[[PICTURE]] * 3)
    assert f.grounding_reward(judge)(**given) == [0.5, None, None]
    claim = judge.requests[1]
    assert (claim.question, claim.images) == (f"{QUESTION}\nA. left\nB. right", (PICTURE,))

    for label, score in ((Label.YES, 1.0), (Label.NO, 0.0), (Label.UNCERTAIN, 0.0)):
        judge = RecordingJudge(lambda _, label=label: label)
        assert f.consistency_reward(judge)(**given, question=["Where?"] * 3) == [score, None, None]
        assert [request.question for request in judge.requests] == ["Where?\nA. left\nB. right"]

    everything = f.consistency_reward(RecordingJudge(), f.RewardSettings(judge_scope="all"))
    assert everything(**given) == [1.0, 1.0, None]
    assert everything.__name__ == "consistency_reward"  # what TRL logs
    with pytest.raises(TypeError, match=r"consistency_reward\(\) missing .*'ground_truth'"):
        everything(prompts=["?"], completions=[RIGHT])


def test_a_single_image_and_thousandths():
    judge = RecordingJudge()
    given = batch(RIGHT, RIGHT, image=[PICTURE, None])
    assert f.grounding_reward(judge, coordinates="thousand")(**given) == [1.0, 1.0]
    shown = {len(request.images): request.claim for request in judge.requests if "bbox" in request.claim}
    assert shown[1] == "The red circle is at <bbox>[0.84,0.84,1.68,1.68]</bbox>."
    assert shown[0] == "The red circle is at <bbox>[10,10,20,20]</bbox>."


def test_a_judge_that_fails_is_none_and_after_three_calls_in_a_row_an_error(caplog):
    judge = FailingJudge(Failure.DEADLINE)
    reward = f.consistency_reward(judge)
    message = "consistency_reward: judge recording measured 0 of 2 rollouts; the last failure: deadline, as told"
    assert reward(**batch(RIGHT, RIGHT)) == [None, None]
    assert caplog.messages == [message]
    assert reward(**batch(RIGHT, RIGHT)) == [None, None]
    assert reward(**batch(WRONG)) == [None]  # nobody was asked: neither a failure nor an answer
    with pytest.raises(RuntimeError, match=r"measured 0 of 2 rollouts and too few for 3 calls in a row; .*as told"):
        reward(**batch(RIGHT, RIGHT))

    half = iter([Failure.INVALID, None] * 9)
    judge.ask = lambda request: _answer(judge, request, next(half))
    reward = f.consistency_reward(judge)
    assert [sorted(reward(**batch(RIGHT, RIGHT)), key=str) for _ in range(5)] == [[1.0, None]] * 5


async def _answer(judge, request, failure):
    return await (FailingJudge(failure) if failure else RecordingJudge()).ask(request)


async def test_a_model_judge_is_asked_again_and_again_also_from_a_running_loop(tmp_path):
    """A judge's connections belong to one event loop; a notebook has another one running when it calls."""
    with judge_endpoint(Script(first=["answer", "text"])) as server:
        judge = f.model_judge("some/model", server.url, cache=str(tmp_path), api_key_env="", max_retries=0)
        consistency, grounding = f.consistency_reward(judge), f.grounding_reward(judge)
        assert consistency(**batch(RIGHT)) == [1.0]
        assert consistency(**batch(RIGHT.replace("left", "right"), ground_truth=["right"])) == [None]
        assert grounding(**batch(RIGHT, image=[PICTURE])) == [1.0]
        assert server.calls == 4
        assert consistency(**batch(RIGHT)) == [1.0]
        assert server.calls == 4  # from the cache
    with pytest.raises(ValueError, match="concurency"):
        f.model_judge("some/model", ["http://host:8000/v1"], concurency=3)


def test_a_process_that_asked_a_model_ends_quietly():
    with judge_endpoint() as server:
        code = f"""
import easyr1_fgrpo as f
reward = f.consistency_reward(f.model_judge("some/model", "{server.url}"))
print(reward(prompts=["?"], completions=["{RIGHT}"], ground_truth=["left"]))
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=400, check=False)
    assert (done.stdout, done.stderr) == ("[1.0]\n", "")


def test_both_questions_reach_the_judge_by_kind():
    judge = RecordingJudge()
    for reward, kind in ((f.consistency_reward, Question.CONSISTENCY), (f.grounding_reward, Question.GROUNDING)):
        judge.requests.clear()
        reward(judge)(**batch(RIGHT, image=[PICTURE]))
        assert {request.kind for request in judge.requests} == {kind}
