import json

import pytest

from easyr1_fgrpo.evaluation.mode import Mode
from easyr1_fgrpo.metrics_file import MetricsFile
from easyr1_fgrpo.study.arms import ARMS
from easyr1_fgrpo.study.figures import draw
from easyr1_fgrpo.study.records import Record, record_of
from easyr1_fgrpo.study.runs import Run

from .made_runs import finish


@pytest.fixture
def run(tmp_path):
    run = Run(ARMS["fgrpo_held_out"], 0, tmp_path, steps=200)
    finish(run, 12, 5)
    return run


def test_a_record_holds_the_run(run):
    metrics = MetricsFile(run.folder / "metrics.jsonl")
    metrics.write(3, {"timing_s/step": 100.0, "fgrpo/consistency/score": 0.123456789, "fgrpo/dual/lambda_max": 5.0})
    metrics.write(4, {"timing_s/step": 1.0, "fgrpo/dual/lambda_max": 5.0, "fgrpo/judges/consistency/calls": 7.0})
    record = record_of(run)
    assert (record.arm, record.seed, record.steps, record.held_out) == ("fgrpo_held_out", 0, 200, "farther_vertical")
    assert record.commit == "abc"
    assert record.seconds == 2 * 2700.0 + 101.0
    assert record.measured["after_RL"][Mode.SAMPLED]["accuracy"].value == 0.6
    assert record.followed["after_RL"].followed == 10
    assert record.training_steps == (3, 4)
    # Five digits; a step without a value stays without one; what no figure draws is not kept.
    assert record.training == {"fgrpo/consistency/score": (0.12346, None), "fgrpo/dual/lambda_max": (5.0, 5.0)}


def test_saved_and_read_again(run, tmp_path):
    record = record_of(run)
    path = Record.path(tmp_path / "beside", run)
    assert path.name == "fgrpo_held_out-s0.json"
    record.save(path)
    assert Record.load(path) == record


def test_no_folder_of_this_machine_is_in_a_record(run, tmp_path):
    assert str(tmp_path) not in record_of(run).model_dump_json()


def test_a_record_is_of_its_run_wherever_that_was_made(run, tmp_path):
    record = record_of(run)
    assert record.is_of(Run(run.arm, 0, tmp_path / "elsewhere", steps=200))
    assert not record.is_of(Run(run.arm, 0, tmp_path, steps=60))
    assert not record.is_of(Run(run.arm, 1, tmp_path, steps=200))


def test_figures_of_the_papers_arms_alone(run, tmp_path):
    fgrpo = Run(ARMS["fgrpo"], 0, tmp_path, steps=200)
    finish(fgrpo, 17, 1)
    assert draw([record_of(run)], tmp_path / "none") == []
    files = draw([record_of(run), record_of(fgrpo)], tmp_path / "some")
    assert {"figure_3_quality.svg", "figure_4_front.svg"} <= {path.name for path in files}


def test_a_damaged_result_is_named(run):
    path = run.folder / "evaluation" / "results.json"
    whole = json.loads(path.read_text())
    path.write_text(json.dumps(whole | {"results": whole["results"][:3]}))
    with pytest.raises(ValueError, match="after_RL was not measured, sampled"):
        record_of(run)
    path.write_text("{")
    with pytest.raises(ValueError, match=r"results\.json is no evaluation"):
        record_of(run)


def test_damaged_traces_are_named(run):
    with (run.folder / "evaluation/traces/after_RL-held-out-greedy.jsonl").open("a") as file:
        file.write("{\n")
    with pytest.raises(ValueError, match=r"after_RL-held-out-greedy\.jsonl: left out are 1 torn lines"):
        record_of(run)


def test_a_damaged_intervention_is_named(run):
    (run.folder / "intervention.json").write_text(json.dumps({"after_RL": {"questions": 0}}))
    with pytest.raises(ValueError, match=r"intervention\.json is no result of the intervention"):
        record_of(run)


def test_a_run_without_step_times_is_named(run):
    (run.folder / "metrics.jsonl").write_text('{"step": 1, "metrics": {"a": 1.0}}\n')
    with pytest.raises(ValueError, match="holds no timing_s/step"):
        record_of(run)


def test_a_damaged_record_is_named(tmp_path):
    path = tmp_path / "fgrpo-s0.json"
    path.write_text('{"arm": "fgrpo"}')
    with pytest.raises(ValueError, match=r"s0\.json is no record of a run: seed: Field required \(and \d+ more\)$"):
        Record.load(path)
