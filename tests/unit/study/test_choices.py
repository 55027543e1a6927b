import json

import pytest
from typer.testing import CliRunner

from easyr1_fgrpo.cli import app
from easyr1_fgrpo.study import choices
from easyr1_fgrpo.study.choices import CHOICES, Step, advantages, check_replay, effect
from easyr1_fgrpo.traces import SignalRecord, TraceRecord, TraceWriter

ACCURACY = (1.0, 1.0, 1.0, 0.0, 0.0)
CONSISTENCY = (1.0, 1.0, 0.0, None, None)
BY_NAME = {choice.about: choice for choice in CHOICES}


def records():
    """One group of five rollouts: three right, two of them consistent; the others are not asked."""
    return [
        TraceRecord(
            split="train",
            step=1,
            index=0,
            session=session,
            question="?",
            choices=("left", "right"),
            ground_truth="left",
            response="left",
            trace=None,
            answer=None,
            signals={
                "task": SignalRecord(value=right),
                "accuracy": SignalRecord(value=right),
                "consistency": SignalRecord(value=1.0)
                if says == 1.0
                else SignalRecord(value=says, reason="NONE")
                if says is not None
                else SignalRecord(value=None, reason="ANSWER_WRONG"),
            },
        )
        for session, (right, says) in enumerate(zip(ACCURACY, CONSISTENCY, strict=True))
    ]


def step(**metrics):
    found = {"fgrpo/consistency/multiplier": 1.0, "fgrpo/consistency/next_multiplier": 2.0}
    return Step(records(), found | metrics, [7] * 5)


def unwhitened(about, **options):
    choice = BY_NAME[about]
    return choices.Choice(about, {**choice.options, "whiten": "none", **options}, choice.multiplier)


def test_masked_rows_stay_out_or_are_filled_with_zeros():
    # z(task) = [.730, .730, .730, -1.095, -1.095]; z(consistency) = [.577, .577, -1.155, 0, 0] excluded, and
    # [1.095, 1.095, -.730, -.730, -.730] filled.
    found, _ = advantages(step(), ["consistency"], unwhitened("as configured by default"))
    assert found == pytest.approx([1.3077, 1.3077, -0.4244, -1.0954, -1.0954], abs=1e-4)
    filled, _ = advantages(step(), ["consistency"], unwhitened("`mask_mode=zero_fill`"))
    assert filled == pytest.approx([1.8257, 1.8257, 0.0, -1.8257, -1.8257], abs=1e-4)


def test_the_dual_step_first_weighs_with_the_next_multiplier():
    found, _ = advantages(step(), ["consistency"], unwhitened("dual step before the advantage"))
    assert found[0] == pytest.approx(0.73030 + 2 * 0.57735, abs=1e-4)


def test_the_default_equals_itself_and_zero_fill_rewards_right_answers_more():
    default, filled = (
        effect([step()], ["consistency"], BY_NAME[about])
        for about in ("as configured by default", "`mask_mode=zero_fill`")
    )
    assert default.correlation == pytest.approx(1.0)
    assert default.other_sign == 0.0
    assert default.right_minus_wrong < filled.right_minus_wrong


def test_a_replay_that_differs_from_the_run_is_refused():
    _, shares = advantages(step(), ["consistency"], CHOICES[0])
    logged = {f"fgrpo/{name}/share": share for name, share in shares.items()}
    check_replay(step(**logged), ["consistency"])
    with pytest.raises(ValueError, match=r"step 1: the share of task is 0\.\d+ from its traces and 0\.9 in metrics"):
        check_replay(step(**logged | {"fgrpo/task/share": 0.9}), ["consistency"])


def test_the_command_reads_a_run(tmp_path):
    _, shares = advantages(step(), ["consistency"], CHOICES[0])
    metrics = step().metrics | {f"fgrpo/{name}/share": share for name, share in shares.items()}
    (tmp_path / "config.yaml").write_text("fgrpo: {constraint_keys: [consistency]}\n")
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"step": 1, "metrics": metrics}) + "\n")
    refused = CliRunner().invoke(app, ["study", "choices", str(tmp_path)])
    assert refused.exit_code == 1
    assert "no traces" in refused.output
    with TraceWriter(tmp_path, "train", 0) as writer:
        for record in records():
            writer.write(record)
    done = CliRunner().invoke(app, ["study", "choices", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "| as configured by default | 1.000 | 0.000 |" in done.output
    assert "5 rollouts; no multiplier moved by more than 1.0000 in a step" in done.output
    (tmp_path / "config.yaml").write_text("fgrpo: {constraint_keys: []}\n")
    assert "name a run with constraints" in CliRunner().invoke(app, ["study", "choices", str(tmp_path)]).output
