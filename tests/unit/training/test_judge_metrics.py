import math

import pytest
import torch

from easyr1_fgrpo.judges.protocol import Question
from easyr1_fgrpo.rewards import JUDGE_COUNTS, Reason, failed_numbers
from easyr1_fgrpo.training.judge_metrics import judge_metrics, valid_share


def rollout(**grounding):
    """A rollout's numbers where only the grounding judge was asked."""
    numbers = failed_numbers(Reason.NONE)
    return numbers | {f"judge_grounding_{count}": value for count, value in grounding.items()}


def test_metrics_by_hand():
    first = rollout(verdicts=3.0, failures=1.0, calls=5.0, retries=2.0, cached=1.0, prompt_tokens=700.0, wait_s=2.0)
    second = rollout(verdicts=5.0, calls=4.0, cached=1.0, completion_tokens=8.0, dollars=0.5, wait_s=1.0)
    assert judge_metrics([first, failed_numbers(Reason.REWARD_FAILED), second]) == {
        "consistency/verdicts": 0.0,
        "grounding/verdicts": 8.0,
        "grounding/valid_share": 0.875,
        "grounding/cached_share": 0.25,
        "grounding/calls": 9.0,
        "grounding/retries": 2.0,
        "grounding/prompt_tokens": 700.0,
        "grounding/completion_tokens": 8.0,
        "grounding/dollars": 0.5,
        "grounding/wait_s/p50": 1.5,
        "grounding/wait_s/p95": pytest.approx(1.95),
        "grounding/measured_share/few": 0.0,
        "grounding/measured_share/middle": 1.0,
    }


def test_the_measured_share_is_told_by_the_number_of_judged_sentences():
    lost = {1: 0, 4: 1, 5: 0, 8: 3, 9: 2, 40: 1}  # judged sentences: verdicts that failed
    rows = [rollout(verdicts=float(n), failures=float(failed)) for n, failed in lost.items()]
    metrics = judge_metrics([*rows, failed_numbers(Reason.REWARD_FAILED)])
    shares = {length: metrics[f"grounding/measured_share/{length}"] for length in ("few", "middle", "many")}
    assert shares == {"few": 0.5, "middle": 0.5, "many": 0.0}


def test_uncertain_is_an_answer_to_consistency():
    numbers = failed_numbers(Reason.NONE)
    asked = numbers | {"judge_consistency_verdicts": 1.0, "judge_consistency_wait_s": 0.5}
    uncertain = asked | {"judge_consistency_uncertain": 1.0}
    metrics = judge_metrics([asked, uncertain, uncertain, asked])
    assert metrics["consistency/uncertain_share"] == 0.5
    assert metrics["consistency/valid_share"] == 1.0


def test_nothing_asked_is_no_share():
    assert judge_metrics([]) == {"consistency/verdicts": 0.0, "grounding/verdicts": 0.0}


def test_every_count_is_reported():
    keys = {f"judge_{question}_{count}" for question in Question for count in JUDGE_COUNTS}
    assert keys <= failed_numbers(Reason.MISSING).keys()
    assert math.isnan(failed_numbers(Reason.MISSING)["judge_consistency_wait_s"])


def test_the_valid_share_is_about_rollouts_to_be_measured():
    mask_B = torch.tensor([True, True, True, False, False, False])
    assert valid_share(mask_B, {"answer_wrong": 2, "judge_deadline": 1}) == 0.75
    assert valid_share(mask_B, {"answer_wrong": 3}) == 1.0
    assert valid_share(mask_B & False, {"judge_unreachable": 2, "no_claim": 1}) == 0.0
    assert valid_share(mask_B & False, {"answer_wrong": 6}) is None
