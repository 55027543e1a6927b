"""Training with a judge behind a URL: a real server on loopback that answers as the oracle does, fails, and dies."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from judge_endpoint import Script, Server, answers_of, judge_endpoint

from easyr1_fgrpo.miniature.oracle import OracleJudge
from easyr1_fgrpo.rewards import Reason
from easyr1_fgrpo.traces import TraceRecord, read_traces

from .recipe_runs import STEPS, TRAIN_ONLY, Runs, learning

pytestmark = pytest.mark.integration

MODEL = "a-model"
JUDGED = {"consistency": "consistency", "semantic_grounding": "grounding"}
# A fifth of all calls, in every way a call can fail.
FAILURES = {
    "500": 0.03,
    "429": 0.03,
    "drop": 0.03,
    "half": 0.03,
    "broken": 0.02,
    "hang": 0.02,
    "text": 0.02,
    "wrong": 0.02,
}


def endpoint_overrides(runs: Runs, server: Server, cache: str) -> list[str]:
    return [
        "judge=openai_compatible",
        f"judge_endpoint.model={MODEL}",
        f"judge_endpoint.base_urls=[{server.url}]",
        f"fgrpo.judge_cache.directory={runs.folder / cache}",
    ]


def traces(runs: Runs, name: str) -> dict[tuple[str, int, int, int], TraceRecord]:
    records, bad = read_traces((runs.folder / name / "traces").glob("train-*.jsonl"))
    assert bad == 0
    return {record.key: record for record in records}


@pytest.fixture
def oracle(runs: Runs, whole: str) -> OracleJudge:
    return OracleJudge(runs.folder / "stages/world/scenes.jsonl")


@pytest.fixture
def endpoint(oracle: OracleJudge) -> Iterator[Server]:
    with judge_endpoint(Script(answer=answers_of(oracle))) as server:
        yield server


def test_a_model_that_answers_as_the_oracle_gives_the_same_run(runs: Runs, endpoint: Server) -> None:
    output = runs.run("model", *endpoint_overrides(runs, endpoint, "cache"))
    ours, theirs = runs.metrics("model"), runs.metrics("whole")
    for step in range(1, STEPS + 1):
        assert learning(ours[step]) == learning(theirs[step]), f"step {step}"
        assert ours[step]["fgrpo/judges/consistency/calls"] > 0
        assert ours[step]["fgrpo/judges/grounding/valid_share"] == 1.0
    for key, record in traces(runs, "whole").items():
        judged = traces(runs, "model")[key] if key[1] == 1 else None
        if judged is not None and judged.consistency is not None and record.consistency is not None:
            assert (judged.consistency.label, judged.consistency.judge) == (record.consistency.label, MODEL)
    assert "inconsistency" in output


def test_failing_calls_are_no_numbers_and_a_dead_judge_is_said_to_be_dead(runs: Runs, oracle: OracleJudge) -> None:
    """A fifth of the calls fails in steps 1 and 2; then the server is gone for good."""
    with judge_endpoint(Script(answer=answers_of(oracle), shares=FAILURES, seed=7)) as server:
        process = runs.start(
            "failing",
            *endpoint_overrides(runs, server, "other-cache"),
            *(f"fgrpo.judges.{question}.{limit}" for question in JUDGED.values() for limit in
              ("deadline_s=2.0", "max_retries=1")),
            "fgrpo.reward.deadline_s=20.0",
            script=TRAIN_ONLY,
        )  # fmt: skip
        runs.wait_for_step("failing", 2, process)
        calls = server.calls
    output = runs.finish(process)
    assert process.returncode == 0, output[-2000:]
    steps = runs.metrics("failing")
    assert sorted(steps) == list(range(1, STEPS + 1))
    assert all(server.counts[behaviour] for behaviour in FAILURES)
    counted = sum(steps[step][f"fgrpo/judges/{question}/calls"] for step in (1, 2) for question in JUDGED.values())
    assert counted == calls == server.calls

    for record in traces(runs, "failing").values():
        _no_number_without_verdicts(record)
    same = {key: record for key, record in traces(runs, "whole").items() if key[1] == 1}
    for key, record in same.items():  # before the first update both runs generate the same
        _no_label_invented(traces(runs, "failing")[key], record)

    for step, metrics in steps.items():
        for key in JUDGED:
            name = f"fgrpo/{key}"
            if metrics[f"{name}/updated"]:
                assert metrics[f"{name}/valid_share"] >= 0.5
                moved = metrics[f"{name}/multiplier"] + 0.05 * (metrics[f"{name}/threshold"] - metrics[f"{name}/score"])
                assert metrics[f"{name}/next_multiplier"] == pytest.approx(min(max(moved, 0.0), 5.0), abs=1e-12)
            else:
                assert metrics[f"{name}/next_multiplier"] == metrics[f"{name}/multiplier"]
            if step > 2:
                assert metrics[f"{name}/valid_share"] == metrics[f"{name}/updated"] == 0.0
                assert f"{name}/score" not in metrics
    assert 0.5 < steps[1]["fgrpo/judges/grounding/valid_share"] < 1.0
    log = (runs.folder / "failing/train.log").read_text()
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


def _no_label_invented(record: TraceRecord, sound: TraceRecord) -> None:
    assert record.response == sound.response
    pairs = [(record.consistency, sound.consistency)]
    pairs += [(mine.verdict, its.verdict) for mine, its in zip(record.sentences, sound.sentences, strict=True)]
    for mine, its in pairs:
        assert (mine is None) == (its is None)
        if mine is not None and its is not None and mine.label is not None:
            assert mine.label is its.label
