import asyncio
import math
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from easyr1_fgrpo.config.schema import RewardSettings
from easyr1_fgrpo.judges.protocol import Failure, Label, Question
from easyr1_fgrpo.rewards import SIGNALS, TASK, Reason, Sample, Signal, failed_numbers, score_rollout
from easyr1_fgrpo.rewards import suite as suite_module

from .hostile import responses
from .judges import AllAtOnceJudge, FailingJudge, MeetingJudge, RaisingJudge, RecordingJudge, SlowJudge, both

PICTURE = Image.new("RGB", (84, 84))
BOX = (7.0, 7.0, 21.0, 21.0)
SAMPLE = Sample("Is red left or right of blue?", ("left", "right"), "left", (PICTURE,), (BOX,), index=3)
FIRST = "The red circle is at <bbox>[7,7,21,21]</bbox>."
SECOND = "The red circle is left of the blue square."
THIRD = "So the answer is left."
TRACE = f"Let me think. {FIRST} {SECOND} {THIRD}"
RIGHT = f"<think>{TRACE}</think><answer>left</answer>"
WRONG = f"<think>{TRACE}</think><answer>right</answer>"
DEFAULT = RewardSettings()
ALL = RewardSettings(judge_scope="all")
FAILED_AS = {
    Failure.UNREACHABLE: Reason.JUDGE_UNREACHABLE,
    Failure.REFUSED: Reason.JUDGE_REFUSED,
    Failure.DEADLINE: Reason.JUDGE_DEADLINE,
    Failure.INVALID: Reason.JUDGE_INVALID,
    Failure.OVERSIZED: Reason.JUDGE_OVERSIZED,
    Failure.TOO_MANY_CLAIMS: Reason.TOO_MANY_CLAIMS,
}


def score(response=RIGHT, judge=None, settings=DEFAULT, sample=SAMPLE, **options):
    judges = judge if isinstance(judge, dict) else both(judge or RecordingJudge())
    return asyncio.run(score_rollout(sample, response, judges, settings, **options))


def grounding(**labels):
    """A judge whose grounding label depends on a word of the claim."""

    def label(request):
        if request.kind is Question.CONSISTENCY:
            return Label.YES
        return next((label for word, label in labels.items() if word in request.claim), Label.CORRECT)

    return RecordingJudge(label)


def test_a_perfect_rollout():
    result = score()
    assert {name: signal.value for name, signal in result.signals.items()} == dict.fromkeys((TASK, *SIGNALS), 1.0)
    assert [item.verdict and item.verdict.label for item in result.sentences] == [None, *[Label.CORRECT] * 3]


def test_what_judges_are_asked():
    judge = RecordingJudge()
    score(judge=judge)
    by_kind = {kind: [request for request in judge.requests if request.kind is kind] for kind in Question}
    (consistency,) = by_kind[Question.CONSISTENCY]
    question = "Is red left or right of blue?\nA. left\nB. right"
    assert consistency.images == ()
    assert (consistency.question, consistency.context, consistency.answer) == (question, TRACE, "left")
    claims = by_kind[Question.GROUNDING]
    assert [request.claim for request in claims] == [FIRST, SECOND, "So the answer is left."]
    assert [request.context for request in claims[:2]] == ["Let me think. ", f"Let me think. {FIRST} "]
    assert all(request.images == (PICTURE,) and request.question == question for request in claims)


def test_all_questions_of_a_rollout_run_at_once():
    async def run():
        return await score_rollout(SAMPLE, RIGHT, both(MeetingJudge(4)), RewardSettings(deadline_s=5))

    assert asyncio.run(run()).signals["semantic_grounding"].value == 1.0


def test_a_wrong_rollout_is_not_judged_by_default():
    judge = RecordingJudge()
    result = score(WRONG, judge)
    assert judge.requests == []
    assert result.signals["consistency"] == result.signals["semantic_grounding"] == Signal.absent(Reason.ANSWER_WRONG)
    assert result.signals["spatial_grounding"].value == 1.0
    assert result.signals["task"].value == 0.5


def test_a_wrong_rollout_is_measured_but_masked_with_scope_all():
    result = score(WRONG, settings=ALL)
    numbers = result.to_numbers()
    for name in ("consistency", "semantic_grounding"):
        assert result.signals[name].value == numbers[name] == 1.0
        assert not result.applicable(name)
        assert (numbers[f"{name}_valid"], numbers[f"{name}_reason"]) == (0.0, 0.0)
    assert result.applicable("spatial_grounding")


@pytest.mark.parametrize(
    ("label", "value", "uncertain"), [(Label.NO, 0.0, 0.0), (Label.UNCERTAIN, 0.0, 1.0), (Label.YES, 1.0, 0.0)]
)
def test_consistency_labels(label, value, uncertain):
    judges = {Question.CONSISTENCY: RecordingJudge(lambda _: label), Question.GROUNDING: RecordingJudge()}
    result = score(judge=judges)
    assert result.signals["consistency"].value == value
    assert result.to_numbers()["judge_consistency_uncertain"] == uncertain


def test_semantic_grounding_is_the_mean_over_scored_sentences():
    # box sentence wrong, relation right, conclusion skipped, planning trivial: 1 of 2
    result = score(judge=grounding(bbox=Label.INCORRECT, So=Label.SKIP))
    assert result.signals["semantic_grounding"].value == 0.5
    numbers = result.to_numbers()
    counts = (
        "judge_consistency_verdicts",
        "judge_grounding_verdicts",
        "judge_grounding_failures",
        "sentences",
        "trivial_sentences",
        "scored_sentences",
        "skipped_sentences",
    )
    assert [numbers[name] for name in counts] == [1, 3, 0, 4, 1, 2, 1]


def test_no_scored_sentence():
    for trace in ["Let me think.", "The zebra."]:
        response = f"<think>{trace}</think><answer>left</answer>"
        judge = grounding(zebra=Label.SKIP)
        assert score(response, judge).signals["semantic_grounding"] == Signal.absent(Reason.NO_CLAIM), trace
        zero = score(response, judge, RewardSettings(no_claim="zero"))
        assert zero.signals["semantic_grounding"] == Signal(0.0), trace


def test_a_failed_judge_is_never_a_number():
    for failure in list(Failure):
        result = score(judge=FailingJudge(failure))
        numbers = result.to_numbers()
        for name in ("consistency", "semantic_grounding"):
            assert result.signals[name] == Signal.absent(FAILED_AS[failure]), failure
            assert math.isnan(numbers[name]), failure
            assert (numbers[f"{name}_valid"], numbers[f"{name}_reason"]) == (0.0, float(FAILED_AS[failure])), failure
        assert numbers["judge_consistency_failures"] == numbers["judge_consistency_verdicts"] == 1, failure
        assert numbers["judge_grounding_failures"] == numbers["judge_grounding_verdicts"] == 3, failure
        assert numbers["task"] == 1.0, failure


def test_scalar_rewards_need_the_consistency_verdict():
    for task in ["additive", "multiplicative"]:
        judges = {Question.CONSISTENCY: FailingJudge(Failure.INVALID), Question.GROUNDING: RecordingJudge()}
        arm = RewardSettings(task=task)
        assert score(judge=judges, settings=arm).signals["task"] == Signal.absent(Reason.JUDGE_INVALID), task
        assert score(WRONG, judges, arm).signals["task"].valid, task
        assert score(judge=both(RecordingJudge()), settings=arm).signals["task"].value == 1.0, task


def test_a_raising_judge_is_unreachable_with_its_cause():
    for error in [RuntimeError("down"), TimeoutError("its own"), OSError(), KeyError("x")]:
        result = score(judge=RaisingJudge(error))
        assert result.signals["consistency"] == Signal.absent(Reason.JUDGE_UNREACHABLE), error
        assert type(error).__name__ in result.consistency.cause, error


def test_a_judge_that_answers_another_question_is_invalid():
    result = score(judge=RecordingJudge(lambda request: Label.YES))
    assert result.signals["consistency"].value == 1.0
    assert result.signals["semantic_grounding"] == Signal.absent(Reason.JUDGE_INVALID)


def test_a_judge_that_returns_no_verdict_is_unreachable():
    class Mute(RecordingJudge):
        async def ask(self, request):
            return None

    result = score(judge=Mute())
    assert result.signals["consistency"] == Signal.absent(Reason.JUDGE_UNREACHABLE)
    assert "NoneType" in result.consistency.cause


def test_the_deadline_keeps_what_has_answered():
    slow = SlowJudge(lambda request: request.claim == SECOND)
    result = score(judge=slow, settings=RewardSettings(deadline_s=0.05))
    assert result.signals["consistency"].value == 1.0
    assert result.signals["semantic_grounding"] == Signal.absent(Reason.JUDGE_DEADLINE)
    failures = [item.verdict.failure for item in result.sentences if item.verdict]
    assert failures == [None, Failure.DEADLINE, None]


def test_being_cancelled_is_not_swallowed():
    async def run():
        task = asyncio.create_task(score_rollout(SAMPLE, RIGHT, both(SlowJudge()), RewardSettings()))
        await asyncio.sleep(0.01)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(run())


def test_a_question_that_nobody_judges_is_not_asked():
    for question, judged, absent in [
        (Question.CONSISTENCY, "consistency", "semantic_grounding"),
        (Question.GROUNDING, "semantic_grounding", "consistency"),
    ]:
        judge = RecordingJudge()
        result = score(judge={question: judge})
        assert result.signals[judged].value == 1.0
        assert result.signals[absent] == Signal.absent(Reason.NO_JUDGE)
        assert {request.kind for request in judge.requests} == {question}
        assert result.signals["spatial_grounding"].value == 1.0
    assert score(WRONG, judge={}).signals["consistency"] == Signal.absent(Reason.ANSWER_WRONG)
    assert score(WRONG, judge={}, settings=ALL).signals["consistency"] == Signal.absent(Reason.NO_JUDGE)


def test_a_right_answer_without_a_trace_is_unparsable():
    result = score("<answer>left</answer>")
    assert result.signals["consistency"] == result.signals["semantic_grounding"] == Signal.absent(Reason.UNPARSABLE)
    assert result.signals["spatial_grounding"] == Signal(0.0)
    assert result.signals["task"].value == 0.5
    assert score("<answer>left</answer>", settings=RewardSettings(task="multiplicative")).signals["task"].value == 0.0


def test_a_trace_without_an_answer_is_still_grounded_with_scope_all():
    result = score(f"<think>{TRACE}", settings=ALL)
    assert result.signals["semantic_grounding"].value == 1.0
    assert result.signals["consistency"] == Signal.absent(Reason.UNPARSABLE)


def test_a_sample_without_boxes_has_no_spatial_grounding():
    result = score(sample=Sample("q", ("left", "right"), "left"))
    assert result.signals["spatial_grounding"] == Signal.absent(Reason.NO_REFERENCE)


def test_truncated_responses():
    cut = score(f"<think>{TRACE}", truncated=True)
    assert (cut.signals["task"].value, cut.to_numbers()["truncated"]) == (0.0, 1.0)
    invalid = score(f"<think>{TRACE}", settings=RewardSettings(truncated="invalid"), truncated=True)
    assert invalid.signals["task"] == Signal.absent(Reason.TRUNCATED)
    assert score(settings=RewardSettings(truncated="invalid")).signals["task"].value == 1.0


def test_a_judge_that_takes_all_claims_at_once_is_asked_once():
    judge = AllAtOnceJudge()
    result = score(judge={Question.CONSISTENCY: RecordingJudge(), Question.GROUNDING: judge})
    assert judge.rollouts == [[FIRST, SECOND, THIRD]]
    assert not judge.requests
    assert result.signals["semantic_grounding"].value == 1.0
    numbers = result.to_numbers()
    counts = ("verdicts", "calls", "prompt_tokens", "failures")
    assert [numbers[f"judge_grounding_{count}"] for count in counts] == [3, 1, 70, 0]


def test_too_few_verdicts_are_none():
    for answers in [lambda n: n - 1, lambda n: 0]:
        result = score(judge={Question.CONSISTENCY: RecordingJudge(), Question.GROUNDING: AllAtOnceJudge(answers)})
        assert result.signals["semantic_grounding"] == Signal.absent(Reason.JUDGE_UNREACHABLE), answers
        assert result.to_numbers()["judge_grounding_failures"] == 3, answers


def test_a_ceiling_on_sentences_draws_the_same_ones_again():
    for most in [1, 2, 3, 9]:
        asked = []
        for _ in range(2):
            judge = RecordingJudge()
            result = score(judge=judge, settings=RewardSettings(max_sentences=most))
            asked.append([request.claim for request in judge.requests if request.kind is Question.GROUNDING])
        assert asked[0] == asked[1], most
        assert len(asked[0]) == min(most, 3), most
        assert asked[0] == [claim for claim in (FIRST, SECOND, THIRD) if claim in asked[0]], most
        assert sum(item.verdict is not None for item in result.sentences) == len(asked[0]), most


def test_every_claim_can_be_drawn():
    drawn = set()
    for number in range(40):
        judge = RecordingJudge()
        trace = f"{TRACE} Number {number}."
        score(f"<think>{trace}</think><answer>left</answer>", judge, RewardSettings(max_sentences=1))
        drawn |= {request.claim for request in judge.requests if request.kind is Question.GROUNDING}
    assert {FIRST, SECOND, THIRD} <= drawn


def test_judges_know_their_limit_and_the_wait_is_measured():
    judge = SlowJudge(lambda request: request.claim == FIRST)
    result = score(judge=judge, settings=RewardSettings(deadline_s=0.2))
    assert [request.limit_s for request in judge.requests] == [0.2] * 3
    numbers = result.to_numbers()
    assert 0.2 <= numbers["judge_grounding_wait_s"] < 5.0
    assert numbers["judge_consistency_wait_s"] < 0.2


def test_a_long_context_keeps_its_end(monkeypatch):
    monkeypatch.setattr(suite_module, "MAX_CONTEXT", 10)
    judge = RecordingJudge()
    score(judge=judge)
    claim = next(request for request in judge.requests if request.claim == SECOND)
    assert claim.context == FIRST[-9:] + " "


def test_a_bad_ground_truth_box_is_named():
    with pytest.raises(ValueError, match=r"row 7 of split 'train'.*\(9, 0, 1, 1\)"):
        Sample("q", (), "left", boxes=((9, 0, 1, 1),), index=7)
    with pytest.raises(ValueError, match="nan"):
        Sample("q", (), "left", boxes=((math.nan, 0, 1, 1),))


def test_failed_numbers_have_the_same_keys():
    failed = failed_numbers(Reason.REWARD_FAILED)
    assert list(failed) == list(score().to_numbers())
    for name in (TASK, *SIGNALS):
        assert math.isnan(failed[name])
        assert (failed[f"{name}_valid"], failed[f"{name}_reason"]) == (0.0, 8.0)
    assert math.isnan(failed["acc"])


def test_ten_thousand_boxes():
    for tag, best in [
        ("<bbox>[7,7,21,21]</bbox>", 1e-4),
        ("<bbox>[nan,inf,-5,1e9]</bbox>", 0.0),
        ("<bbox>[21,21,7,7]</bbox>. ", 0.0),
    ]:
        result = score(f"<think>{tag * 10_000}</think><answer>left</answer>")
        assert result.signals["spatial_grounding"].value == pytest.approx(best), tag
        assert result.to_numbers()["response_boxes"] == 10_000, tag


@settings(max_examples=150)
@given(
    responses,
    st.sampled_from(["weighted", "additive", "multiplicative"]),
    st.sampled_from(["correct", "all"]),
    st.booleans(),
)
def test_any_response_is_scored(response, task, scope, truncated):
    judge = grounding(left=Label.INCORRECT, Wait=Label.SKIP)
    result = score(response, judge, RewardSettings(task=task, judge_scope=scope), truncated=truncated)
    numbers = result.to_numbers()
    assert list(numbers) == list(failed_numbers(Reason.MISSING))
    assert all(type(value) is float for value in numbers.values())
    for name in (TASK, *SIGNALS):
        value, valid, reason = (numbers[f"{name}{end}"] for end in ("", "_valid", "_reason"))
        assert math.isnan(value) == (reason != 0.0)
        assert math.isnan(value) or 0.0 <= value <= 1.0
        assert valid == float(result.applicable(name))
        assert not (valid and math.isnan(value))
    assert numbers["acc"] in (0.0, 1.0)


def test_rewards_stay_light():
    code = "import sys, easyr1_fgrpo.rewards, easyr1_fgrpo.traces; print({'torch', 'ray', 'verl'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


def test_a_response_that_floods_the_judge_is_unmeasured_for_a_reason_of_its_own_and_nobody_is_asked():
    def flood(sentences):
        return f"<think>{' '.join(f'It is red {n}.' for n in range(sentences))}</think><answer>left</answer>"

    full_stops = f"<think>{'A red. ' * 14_000}</think><answer>left</answer>"
    for response, said in [(flood(257), "257"), (full_stops, "14,000")]:
        for grounding_judge in (RecordingJudge(), AllAtOnceJudge()):
            judges = {Question.CONSISTENCY: RecordingJudge(), Question.GROUNDING: grounding_judge}
            result = score(response, judges)
            assert not grounding_judge.requests
            assert not getattr(grounding_judge, "rollouts", [])
            assert result.signals["semantic_grounding"] == Signal.absent(Reason.TOO_MANY_CLAIMS)
            assert result.signals["consistency"].value == result.signals["task"].value == 1.0
            verdicts = [item.verdict for item in result.sentences if item.verdict]
            assert [verdict.failure for verdict in verdicts] == [Failure.TOO_MANY_CLAIMS]
            assert verdicts[0].cause.startswith(f"{said} claims, and reward.max_claims=256: nobody was asked")
            numbers = result.to_numbers()
            assert numbers["semantic_grounding_reason"] == Reason.TOO_MANY_CLAIMS
            assert (numbers["semantic_grounding_valid"], numbers["judge_grounding_failures"]) == (0.0, 1.0)
    judge = RecordingJudge()
    assert score(flood(256), judge).signals["semantic_grounding"].value == 1.0
    assert len(judge.requests) == 257
    assert score(flood(300), settings=RewardSettings(max_sentences=20)).signals["semantic_grounding"].value == 1.0
