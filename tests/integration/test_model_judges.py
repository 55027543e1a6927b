"""Training with a judge behind a URL: a real server on loopback that answers as the oracle does, fails, and dies."""

from __future__ import annotations

import pytest
from judge_endpoint import Script, Server, answers_of, judge_endpoint

from easyr1_fgrpo.miniature.oracle import OracleJudge
from easyr1_fgrpo.rewards import Reason
from easyr1_fgrpo.traces import TraceRecord, read_traces

from .recipe_runs import STEPS, TRAIN_ONLY, Runs, learning

pytestmark = pytest.mark.integration

MODEL = "a-model"
JUDGED = {"consistency": "consistency", "semantic_grounding": "grounding"}
# A quarter of all calls, in every way a call can fail.
FAILURES = dict.fromkeys(("500", "429", "drop", "half", "broken", "hang", "text", "wrong"), 0.03)


def endpoint_overrides(runs: Runs, server: Server) -> list[str]:
    return [
        "judge=openai_compatible",
        f"judge_endpoint.model={MODEL}",
        f"judge_endpoint.base_urls=[{server.url}]",
        f"fgrpo.judge_cache.directory={runs.folder / 'cache'}",
        *(f"fgrpo.judges.{question}.deadline_s=10.0" for question in JUDGED.values()),
        *(f"fgrpo.judges.{question}.max_retries=1" for question in JUDGED.values()),
        "fgrpo.reward.deadline_s=60.0",
    ]


def traces(runs: Runs, name: str) -> dict[tuple[str, int, int, int], TraceRecord]:
    records, bad = read_traces((runs.folder / name / "traces").glob("train-*.jsonl"))
    assert bad == 0
    return {record.key: record for record in records}


@pytest.fixture
def oracle(runs: Runs, whole: str) -> OracleJudge:
    return OracleJudge(runs.folder / "stages/world/scenes.jsonl")


def test_a_model_judge_that_answers_fails_and_dies(runs: Runs, oracle: OracleJudge) -> None:
    """In step 1 it answers as the oracle; in steps 2 and 3 a quarter of the calls fails; then it is gone for good."""
    script = Script(answer=answers_of(oracle), seed=7)
    with judge_endpoint(script) as server:
        process = runs.start("judged", *endpoint_overrides(runs, server), script=TRAIN_ONLY)
        runs.wait_for_step("judged", 1, process)
        script.shares = FAILURES
        runs.wait_for_step("judged", 3, process)
        calls = server.calls
    output = runs.finish(process)
    assert process.returncode == 0, output[-2000:]
    steps = runs.metrics("judged")
    assert sorted(steps) == list(range(1, STEPS + 1))
    assert all(server.counts[behaviour] for behaviour in FAILURES)
    counted = sum(steps[step][f"fgrpo/judges/{question}/calls"] for step in (1, 2, 3) for question in JUDGED.values())
    assert counted + len(JUDGED) == calls == server.calls  # before them a first question of each kind

    assert learning(steps[1]) == learning(runs.metrics("whole")[1])
    assert steps[1]["fgrpo/judges/grounding/valid_share"] == 1.0
    assert 0.5 < steps[2]["fgrpo/judges/grounding/valid_share"] < 1.0
    ours, theirs = traces(runs, "judged"), traces(runs, "whole")
    for key, record in ours.items():
        _no_number_without_verdicts(record)
        if key[1] <= 2:  # until the first failure both runs learn the same
            _no_label_invented(record, theirs[key], all_answered=key[1] == 1)

    for step, metrics in steps.items():
        for key in JUDGED:
            name = f"fgrpo/{key}"
            if metrics[f"{name}/updated"]:
                assert metrics[f"{name}/valid_share"] >= 0.5
                moved = metrics[f"{name}/multiplier"] + 0.05 * (metrics[f"{name}/threshold"] - metrics[f"{name}/score"])
                assert metrics[f"{name}/next_multiplier"] == pytest.approx(min(max(moved, 0.0), 5.0), abs=1e-12)
            else:
                assert metrics[f"{name}/next_multiplier"] == metrics[f"{name}/multiplier"]
            if step > 3:
                assert metrics[f"{name}/valid_share"] == metrics[f"{name}/updated"] == 0.0
                assert f"{name}/score" not in metrics
    log = (runs.folder / "judged/train.log").read_text()
    assert "consistency is not being measured: the judge measured 0% of its rollouts" in log
    assert "(judged 0%)" in output


def _no_number_without_verdicts(record: TraceRecord) -> None:
    verdicts = {
        "consistency": [record.consistency] if record.consistency else [],
        "semantic_grounding": [sentence.verdict for sentence in record.sentences if sentence.verdict],
    }
    for name, found in verdicts.items():
        signal = record.signals[name]
        failed = [verdict for verdict in found if verdict.failure is not None]
        if failed:
            assert signal.value is None
            assert signal.reason.startswith("JUDGE_")
        elif signal.value is None:
            assert signal.reason in {Reason.ANSWER_WRONG.name, Reason.UNPARSABLE.name, Reason.NO_CLAIM.name}
        for verdict in failed:
            assert verdict.cause


def _no_label_invented(record: TraceRecord, sound: TraceRecord, *, all_answered: bool) -> None:
    assert record.response == sound.response
    pairs = [(record.consistency, sound.consistency)]
    pairs += [(mine.verdict, its.verdict) for mine, its in zip(record.sentences, sound.sentences, strict=True)]
    for mine, its in pairs:
        assert (mine is None) == (its is None)
        if mine is not None and its is not None and (all_answered or mine.label is not None):
            assert (mine.label, mine.judge) == (its.label, MODEL)
