import json

import made_results
import pytest
import yaml

from easyr1_fgrpo.evaluation.results.results import Evaluation as BenchmarkEvaluation
from easyr1_fgrpo.metrics_file import MetricsFile, read_metrics
from easyr1_fgrpo.report.run_files import Series, read_run
from easyr1_fgrpo.statistics import Estimate
from easyr1_fgrpo.trace_index import index_traces
from easyr1_fgrpo.traces import TraceWriter

from .runs import rollout, write_run


def bare(folder, *records):
    """A run directory with these steps of metrics and nothing else."""
    folder.mkdir()
    metrics = MetricsFile(folder / "metrics.jsonl")
    for step, values in records:
        metrics.write(step, values)
    return folder


def about(run, name):
    """The problems that name a file."""
    return [line.partition(": ")[2] for line in run.problems if line.partition(": ")[0].endswith(name)]


def records_of(paths):
    """All records of trace files, and what is wrong with these."""
    index = index_traces(paths)
    return list(index.records()), list(index.problems)


def test_a_whole_run(made):
    run = read_run(made / "grpo_t-s1")
    assert (run.name, run.arm, run.seed) == ("grpo_t-s1", "grpo_t", 1)
    assert (run.total_steps, run.last_step, run.finished) == (24, 24, True)
    assert run.config["fgrpo.constraints.consistency.threshold"] == 0.95
    assert run.config["data.train_files"] == ["train.parquet"]
    assert run.config["fgrpo.signals"] == {}
    assert [path.name for path in run.trace_files] == ["train-0.jsonl", "val-0.jsonl"]
    assert run.problems == ()
    records, problems = records_of(run.trace_files)
    assert ({record.split for record in records}, problems) == ({"train", "val"}, [])


def test_every_metric_is_the_files(made):
    run = read_run(made / "fgrpo-s0")
    by_step = read_metrics(made / "fgrpo-s0" / "metrics.jsonl")
    assert {
        (step, name): value
        for name, series in run.metrics.items()
        for step, value in zip(series.steps, series.values, strict=True)
    } == {(step, name): value for step, metrics in by_step.items() for name, value in metrics.items()}


def test_evaluations_of_checkpoints(made):
    run = read_run(made / "fgrpo-s0")
    assert [(each.label, each.mode) for each in run.evaluations] == [
        ("before_RL", "greedy"), ("before_RL", "sampled"), ("after_RL", "greedy"), ("after_RL", "sampled")
    ]  # fmt: skip
    results = BenchmarkEvaluation.load(made / "fgrpo-s0").results
    for evaluation, result in zip(run.evaluations, results, strict=True):
        assert evaluation.benchmark == "held-out"
        assert {name: vars(number) for name, number in evaluation.metrics.items()} == {
            name: number.model_dump() for name, number in result.metrics.items()
        }
        records, problems = records_of([evaluation.trace_file] if evaluation.trace_file else [])
        assert ([record.index for record in records], problems) == (list(range(16)), [])


def test_the_folder_of_an_evaluation(made):
    run = read_run(made / "benchmarks")
    assert [(each.label, each.benchmark, each.mode) for each in run.evaluations] == [
        ("warm", "cv_bench", "ours"), ("warm", "mindcube", "ours"),
        ("faithful", "cv_bench", "ours"), ("faithful", "mindcube", "ours"),
    ]  # fmt: skip
    assert (run.metrics, run.trace_files, run.problems, run.arm, run.finished) == ({}, (), (), None, False)
    records, _ = records_of([run.evaluations[2].trace_file])
    assert {record.evaluation.model for record in records} == {"faithful"}


def test_a_run_that_is_still_going(tmp_path):
    run = read_run(write_run(tmp_path / "run", steps=4, total_steps=100, traces=2, evaluations=False))
    assert (run.total_steps, run.last_step, run.finished, run.evaluations) == (100, 4, False, ())
    assert run.problems == ()


def test_a_run_that_has_only_just_started(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.yaml").write_text("arm: fgrpo\ntrainer: {total_training_steps: null}\n")
    run = read_run(folder)
    assert (run.arm, run.seed, run.total_steps, run.last_step, run.finished) == ("fgrpo", None, None, None, False)
    assert (about(run, "metrics.jsonl"), about(run, "traces")) == (["missing"], ["no traces"])
    assert records_of(run.trace_files) == ([], [])


@pytest.mark.parametrize("content", ["- 1\n", "a: [1\n", "\x00"])
def test_a_damaged_config(content, tmp_path):
    folder = bare(tmp_path / "run", (1, {"a": 1.0}))
    (folder / "config.yaml").write_text(content)
    run = read_run(folder)
    assert (run.config, run.arm, run.metrics) == ({}, None, {"a": Series((1,), (1.0,))})
    assert about(run, "config.yaml")[0].startswith("cannot be read (")
    assert "\n" not in "".join(run.problems)


def test_a_missing_config(tmp_path):
    run = read_run(bare(tmp_path / "run", (1, {"a": 1.0})))
    assert (run.config, about(run, "config.yaml")) == ({}, ["missing"])


def test_metrics_of_unequal_length_and_a_step_written_twice(tmp_path):
    folder = bare(
        tmp_path / "run", (1, {"a": 1.0}), (3, {"a": 3.0, "b": 9.0}), (2, {"a": 0.0, "b": 5.0}), (2, {"a": 2.0})
    )
    assert read_run(folder).metrics == {"a": Series((1, 2, 3), (1.0, 2.0, 3.0)), "b": Series((3,), (9.0,))}


@pytest.mark.parametrize(
    "line",
    ["{", '{"step": 2, "metr', "[1]", "null", '{"step": "2", "metrics": {}}', '{"metrics": {"a": 1}}', "[" * 9999],
)
def test_a_damaged_line_of_metrics_costs_itself(line, tmp_path):
    folder = bare(tmp_path / "run", (1, {"a": 1.0}))
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(f"{line}\n\n" + json.dumps({"step": 3, "metrics": {"a": 3.0}}) + "\n")
    run = read_run(folder)
    assert run.metrics == {"a": Series((1, 3), (1.0, 3.0))}
    assert about(run, "metrics.jsonl") == ["1 torn or damaged lines are left out"]


def test_a_number_that_is_none_is_no_number(tmp_path):
    folder = bare(tmp_path / "run", (1, {"a": 1.0}))
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "metrics": {"a": NaN, "b": Infinity, "c": "0.5", "d": null, "e": 2}}\n')
    run = read_run(folder)
    assert run.metrics == {"a": Series((1,), (1.0,)), "e": Series((2,), (2.0,))}
    assert about(run, "metrics.jsonl") == ["4 values are no finite number and are left out (a, b, c, ...)"]


def test_metrics_without_a_step(tmp_path):
    folder = bare(tmp_path / "run")
    (folder / "metrics.jsonl").touch()
    run = read_run(folder)
    assert (run.metrics, run.last_step) == ({}, None)
    assert about(run, "metrics.jsonl") == ["no step with metrics"]


def test_torn_traces_and_another_schema(tmp_path):
    folder = bare(tmp_path / "run", (1, {"a": 1.0}))
    with TraceWriter(folder, "train") as writer:
        for index in range(2):
            record, _ = rollout("train", index, "fgrpo", step=1)
            writer.write(record)
    lines = writer.path.read_text().splitlines()
    newer = json.dumps(json.loads(lines[0]) | {"mood": "good"})
    writer.path.write_text("\n".join([lines[0][:100], newer, lines[1], lines[1][:-1]]))
    records, problems = records_of(read_run(folder).trace_files)
    assert [record.index for record in records] == [1]
    assert [line.partition(": ")[2] for line in problems] == [
        "left out are 2 torn lines and 1 records of another schema, "
        "first in line 2: mood: Extra inputs are not permitted"
    ]


def test_the_last_record_of_a_key_wins_over_files(tmp_path):
    folder = bare(tmp_path / "run", (1, {"a": 1.0}))
    for worker, session in enumerate((0, 1, 0)):
        with TraceWriter(folder, "train", worker) as writer:
            record, _ = rollout("train", 5, "fgrpo", seed=worker, step=1, session=session)
            writer.write(record.model_copy(update={"question": f"by {worker}"}))
    records, _ = records_of(read_run(folder).trace_files)
    assert sorted(record.question for record in records) == ["by 1", "by 2"]


def test_a_damaged_evaluation_is_a_line_and_no_number(tmp_path):
    folder = bare(tmp_path / "run", (1, {"a": 1.0}))
    (folder / "evaluation").mkdir()
    for content in ("", "{", "[]", '{"name": "x"}', '{"results": [{"model": "m"}]}', '{"results": 3}'):
        (folder / "evaluation" / "results.json").write_text(content)
        run = read_run(folder)
        assert run.evaluations == ()
        assert about(run, "results.json") == ["cannot be read (it is no evaluation's result)"], content


def test_an_evaluation_of_an_earlier_version_is_named_with_the_command_that_measures_again(tmp_path):
    folder = bare(tmp_path / "run", (1, {"a": 1.0}))
    (folder / "evaluation").mkdir()
    (folder / "evaluation" / "after_RL-greedy.json").write_text('{"name": "after_RL"}')
    (line,) = about(read_run(folder), "evaluation")
    assert "fgrpo summary" in line


def test_an_unmeasured_number_stays_none(tmp_path):
    folder = bare(tmp_path / "run", (1, {"a": 1.0}))
    result = made_results.result("after_RL", [], identity=f"folder {'0a' * 32}")
    BenchmarkEvaluation(settings={"judges": {"consistency": "x", "grounding": "y"}}, results=(result,)).save(
        folder / "evaluation"
    )
    (evaluation,) = read_run(folder).evaluations
    assert evaluation.metrics["accuracy"] == Estimate(value=None, low=None, high=None, n=0)
    assert (evaluation.judge, evaluation.data) == ("x (consistency), y (grounding)", "test.parquet, sha256 d")
    assert evaluation.checkpoint == "folder 0a0a0a0a0a0a"
    assert evaluation.trace_file is None
    assert records_of([evaluation.trace_file] if evaluation.trace_file else []) == ([], [])


def test_what_is_no_run_is_refused(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"no run directory, it has no config\.yaml"):
        read_run(tmp_path)
    with pytest.raises(ValueError, match="nowhere: no such directory"):
        read_run(tmp_path / "nowhere")


def test_a_config_with_every_kind_of_value(tmp_path):
    folder = bare(tmp_path / "run", (1, {"a": 1.0}))
    (folder / "config.yaml").write_text(yaml.safe_dump({"a": {"b": {"c": None, "d": [1, {"e": 2}]}, 3: "x"}}))
    assert read_run(folder).config == {"a.b.c": None, "a.b.d": [1, {"e": 2}], "a.3": "x"}
