"""Training with a judge behind a URL: a real server on loopback that answers as the oracle, stalls, fails and dies.

The run is on a Ray cluster that others may use; meanwhile a second one is refused there.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from judge_endpoint import Script, Server, answers_of, judge_endpoint

from easyr1_fgrpo.miniature.oracle import OracleJudge
from easyr1_fgrpo.rewards import Reason
from easyr1_fgrpo.traces import TraceRecord, read_traces
from easyr1_fgrpo.training.judge_metrics import LENGTHS

from .ray_cluster import Cluster
from .recipe_runs import ROOT, SCENES, TRAIN_ONLY, Runs, learning

pytestmark = pytest.mark.integration

MODEL = "a-model"
JUDGED = {"consistency": "consistency", "semantic_grounding": "grounding"}
FAILURES = ("500", "429", "drop", "half", "broken", "hang", "text", "wrong") * 2
"""Calls of step 2: every way a call can fail."""


CALL_S, SILENCE_S = 10.0, 20.0
FIRST_QUESTIONS = 3
"""Before anything starts: two about consistency, one about grounding."""

STALLED = 16
"""Calls at the beginning that hang: enough to open the circuit of the only URL."""


def endpoint_overrides(runs: Runs, url: str) -> list[str]:
    return [
        "judge=openai_compatible",
        f"judge_endpoint.model={MODEL}",
        f"judge_endpoint.base_urls=[{url}]",
        f"fgrpo.judge_cache.directory={runs.folder / 'cache'}",
        *(f"fgrpo.judges.{question}.deadline_s={CALL_S}" for question in JUDGED.values()),
        *(f"fgrpo.judges.{question}.max_retries=1" for question in JUDGED.values()),
        f"fgrpo.reward.deadline_s={SILENCE_S}",
        "fgrpo.max_unmeasured_steps=2",
        "trainer.total_training_steps=6",
        "trainer.test_freq=4",
    ]


@dataclass(frozen=True)
class Judged:
    """What came of the run: its judge stalls in step 1, fails now and then in 2, is gone in 4 and 5, and back for 6."""

    first: str
    second: subprocess.CompletedProcess[str]
    again: str
    codes: tuple[int, int]
    server: Server
    calls: int
    saved: str


@pytest.fixture(scope="module")
def judged(runs: Runs, whole: str, cluster: Cluster) -> Judged:
    script = Script(answer=answers_of(OracleJudge(runs.folder / "stages/world/scenes.jsonl")), seed=7)
    with judge_endpoint(script) as server:
        overrides = endpoint_overrides(runs, server.url)
        process = runs.start("judged", *overrides, script=TRAIN_ONLY, environment=cluster.environment)
        log = runs.folder / "judged/train.log"
        runs.wait_for(lambda: log.exists() and "(TaskRunnerV1 pid=" in log.read_text(), "verl started", process)
        script.first = ["hang"] * STALLED  # after the first questions, which are asked before anything starts
        second = subprocess.Popen(
            [sys.executable, "-m", "easyr1_fgrpo", "train", *runs.overrides("second")],
            cwd=ROOT, env=cluster.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        runs.wait_for_step("judged", 1, process)
        script.first = list(FAILURES)
        runs.wait_for_step("judged", 3, process)
        calls = server.calls
    first = runs.finish(process)
    output, error = second.communicate(timeout=400)
    saved = (runs.folder / "judged/checkpoints/latest_checkpointed_iteration.txt").read_text()
    with judge_endpoint(script, port=urlsplit(server.url).port or 0):
        resumed = runs.start("judged", *overrides, script=TRAIN_ONLY, environment=cluster.environment)
        again = runs.finish(resumed)
    return Judged(
        first,
        subprocess.CompletedProcess(second.args, second.returncode, output, error),
        again,
        (process.returncode, resumed.returncode),
        server,
        calls,
        saved,
    )


def traces(runs: Runs, name: str) -> dict[tuple[str, int, int, int], TraceRecord]:
    records, bad = read_traces((runs.folder / name / "traces").glob("train-*.jsonl"))
    assert bad == 0
    return {record.key: record for record in records}


def test_a_judge_that_stalls_loses_nothing(runs: Runs, judged: Judged) -> None:
    step = runs.metrics("judged")[1]
    assert step["fgrpo/judges/grounding/retries"] + step["fgrpo/judges/consistency/retries"] == STALLED
    assert step["fgrpo/judges/grounding/valid_share"] == step["fgrpo/judges/consistency/valid_share"] == 1.0
    assert learning(step) == learning(runs.metrics("whole")[1])


def test_a_judge_that_fails_now_and_then_invents_nothing(runs: Runs, judged: Judged) -> None:
    steps = runs.metrics("judged")
    assert all(judged.server.counts[behaviour] >= 2 for behaviour in FAILURES)
    counted = sum(steps[step][f"fgrpo/judges/{question}/calls"] for step in (1, 2, 3) for question in JUDGED.values())
    assert counted + FIRST_QUESTIONS == judged.calls
    assert 0.5 < steps[2]["fgrpo/judges/grounding/valid_share"] < 1.0
    assert any(0.0 < steps[2].get(f"fgrpo/judges/grounding/measured_share/{n}", 0.0) < 1.0 for n in LENGTHS)
    ours, theirs = traces(runs, "judged"), traces(runs, "whole")
    for key, record in ours.items():
        _no_number_without_verdicts(record)
        if key[1] <= 2:  # until the first failure both runs learn the same
            _no_label_invented(record, theirs[key], all_answered=key[1] == 1)
    for metrics in steps.values():
        for key in JUDGED:
            name = f"fgrpo/{key}"
            if metrics[f"{name}/updated"]:
                assert metrics[f"{name}/valid_share"] >= 0.5
                moved = metrics[f"{name}/multiplier"] + 0.05 * (metrics[f"{name}/threshold"] - metrics[f"{name}/score"])
                assert metrics[f"{name}/next_multiplier"] == pytest.approx(min(max(moved, 0.0), 5.0), abs=1e-12)
            else:
                assert metrics[f"{name}/next_multiplier"] == metrics[f"{name}/multiplier"]


def test_a_judge_that_is_gone_ends_the_run_with_a_checkpoint(runs: Runs, judged: Judged) -> None:
    steps = runs.metrics("judged")
    for step in (4, 5):
        for key in JUDGED:
            assert steps[step][f"fgrpo/{key}/valid_share"] == steps[step][f"fgrpo/{key}/updated"] == 0.0
            assert f"fgrpo/{key}/score" not in steps[step]
    assert judged.codes[0] == 4
    (told,) = [line for line in judged.first.splitlines() if line.startswith("error: ")]
    for part in ("step 5: consistency was not measured for 2 steps in a row", "measured 0%, 0%", "is not there"):
        assert part in told
    assert "(judged 0%)" in judged.first
    assert judged.saved == "5"  # save_freq=2 would have left 4
    state = json.loads((runs.folder / "judged/checkpoints/global_step_5/fgrpo.json").read_text())
    assert state["unmeasured"] == {key: [0.0, 0.0] for key in JUDGED}


def test_a_validation_without_a_judge_is_told(runs: Runs, judged: Judged) -> None:
    steps = runs.metrics("judged")
    for name in JUDGED:
        assert steps[4][f"fgrpo/val/{name}/valid_share"] == steps[4][f"fgrpo/val/{name}/measured"] == 0.0
        assert f"fgrpo/val/{name}/mean" not in steps[4]
        assert steps[6][f"fgrpo/val/{name}/valid_share"] == 1.0
        assert 0.0 <= steps[6][f"fgrpo/val/{name}/mean"] <= 1.0
    assert steps[4]["fgrpo/val/accuracy/measured"] == SCENES["val"]
    assert "warning: in the validation at step 4 judges measured consistency on 0% of its rollouts" in judged.first
    log = (runs.folder / "judged/train.log").read_text()
    assert "validation at step 4: the judge measured consistency on 0.0% of its rollouts" in log


def test_with_the_judge_back_the_same_command_goes_on(runs: Runs, judged: Judged) -> None:
    assert judged.codes[1] == 0, judged.again[-2000:]
    assert "resuming after step 5" in judged.again
    steps = runs.metrics("judged")
    assert sorted(steps) == [1, 2, 3, 4, 5, 6]
    for key in JUDGED:
        assert steps[6][f"fgrpo/{key}/valid_share"] == 1.0
        assert steps[6][f"fgrpo/{key}/multiplier"] == steps[5][f"fgrpo/{key}/next_multiplier"]
    state = json.loads((runs.folder / "judged/checkpoints/global_step_6/fgrpo.json").read_text())
    assert state["unmeasured"] == {}


def test_a_second_run_on_the_cluster_is_refused(runs: Runs, judged: Judged) -> None:
    assert judged.second.returncode == 1
    (told,) = [line for line in judged.second.stderr.splitlines() if line.startswith("error: ")]
    assert "another run trains on this Ray cluster" in told
    assert "wait for its end or end it, or start this one on another cluster" in told
    assert not {"checkpoints", "traces", "metrics.jsonl"} & {path.name for path in (runs.folder / "second").iterdir()}


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
