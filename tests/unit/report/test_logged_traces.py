from types import SimpleNamespace

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from verl.utils.tracking import Tracking, ValidationGenerationsLogger

from easyr1_fgrpo.metrics_file import MetricsFile, read_metrics
from easyr1_fgrpo.traces import TraceWriter, save_images
from easyr1_fgrpo.verl_plugin.logged_traces import NAME, log_traces, validation_traces

from .runs import rollout, step_metrics


@pytest.fixture
def run_dir(tmp_path):
    """Validation at steps 0 and 4 by two reward workers, twelve questions each."""
    for worker in range(2):
        with TraceWriter(tmp_path, "val", worker) as writer:
            for step in (0, 4):
                for index in range(worker, 12, 2):
                    record, picture = rollout("val", index, "fgrpo", step=step)
                    save_images([picture], tmp_path)
                    writer.write(record)
    return tmp_path


def test_every_validation_shows_the_same_questions(run_dir):
    chosen = {step: validation_traces(run_dir, step, 3) for step in (0, 4)}
    assert {record.step for record in chosen[4]} == {4}
    assert [record.index for record in chosen[0]] == [record.index for record in chosen[4]]
    assert len({record.index for record in chosen[0]}) == 3
    assert len(validation_traces(run_dir, 0, 99)) == 12


def test_no_trace_is_a_warning(run_dir, caplog):
    assert validation_traces(run_dir, 2, 3) == []
    assert "step 2: no validation trace in" in caplog.text
    log_traces([], 2, {"wandb": None}, None)


def test_lines_that_are_no_records_are_counted(run_dir, caplog):
    with next((run_dir / "traces").glob("val-*.jsonl")).open("a") as file:
        file.write('{"half": \n')
    assert len(validation_traces(run_dir, 4, 3)) == 3
    assert "val-0.jsonl: left out are 1 torn lines" in caplog.text


def test_tensorboard_gets_the_series_of_metrics_jsonl_and_the_traces(run_dir, monkeypatch):
    monkeypatch.setenv("TENSORBOARD_DIR", str(run_dir / "tensorboard"))
    tracking = Tracking("easyr1-fgrpo", "made", ["tensorboard"])
    file = MetricsFile(run_dir / "metrics.jsonl")
    for step in (1, 2):
        metrics = step_metrics(step / 2, "fgrpo")
        tracking.log(metrics, step)
        file.write(step, metrics)
    records = validation_traces(run_dir, 4, 2)
    log_traces(records, 4, tracking.logger, ValidationGenerationsLogger())
    tracking.finish()
    events = EventAccumulator(str(run_dir / "tensorboard")).Reload()
    written = read_metrics(run_dir / "metrics.jsonl")
    assert set(events.Tags()["scalars"]) == set(written[2])
    for name in written[2]:
        assert [event.value for event in events.Scalars(name)] == pytest.approx([written[n][name] for n in (1, 2)])
    for number, record in enumerate(records):
        (event,) = events.Tensors(f"{NAME}/{number}/text_summary")
        text = event.tensor_proto.string_val[0].decode()
        assert event.step == 4
        assert f"🟦 {record.sentences[1].text}" in text


def test_wandb_gets_html_and_the_others_text(run_dir):
    logged = []
    wandb = SimpleNamespace(Html=lambda page: ("html", page), log=lambda data, step: logged.append((data, step)))
    generations = SimpleNamespace(log=lambda *given: logged.append(given))
    records = validation_traces(run_dir, 4, 2)
    log_traces(records, 4, {"wandb": wandb, "console": None, "mlflow": None}, generations)
    (html, step), (others, samples, other_step) = logged
    kind, page = html[NAME]
    assert (kind, step, other_step, others) == ("html", 4, 4, ["console", "mlflow"])
    assert page.count("<b>") == 2
    assert [(question, score) for question, _, score in samples] == [
        (record.question, record.signals["task"].value) for record in records
    ]
