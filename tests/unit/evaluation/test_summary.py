import shutil
from pathlib import Path

from omegaconf import OmegaConf

from easyr1_fgrpo.config.load import load_config, read_settings
from easyr1_fgrpo.evaluation.summary import as_trained, erring_judges, main, questions, unmeasured_steps
from easyr1_fgrpo.metrics_file import MetricsFile
from easyr1_fgrpo.verl_plugin.paths import make_paths_absolute


def test_the_last_table_is_of_the_runs_own_data(capsys):
    own = ["dataset=own", "own.train=mine/train.parquet", "own.val=mine/val.parquet"]
    mine = ["data.train_files=mine/train.parquet", "data.val_files=mine/val.parquet"]
    several = ["data.train_files=mine/train.parquet", "data.val_files=[mine/a.parquet,mine/b.parquet]"]
    for overrides, file in [
        ([], "runs/miniature-s0/world/test.parquet"),
        (["data.train_files=other.parquet"], "runs/miniature-s0/world/test.parquet"),
        (own, "mine/val.parquet"),
        ([*own, "evaluation.file=mine/test.parquet"], "mine/test.parquet"),
    ]:
        assert questions(load_config(overrides)) == Path(file), overrides
    assert capsys.readouterr().out == ""
    for overrides, file in [(mine, "mine/val.parquet"), (several, "mine/a.parquet")]:
        assert questions(load_config(overrides)) == Path(file), overrides
        assert f"the last table is of data.val_files={file}" in capsys.readouterr().out
    assert questions(load_config([*mine, "evaluation.file=mine/test.parquet"])) == Path("mine/test.parquet")


def write_run(folder, *overrides):
    """What training leaves of a config."""
    config = load_config([*overrides, f"fgrpo.run_dir={folder}"])
    make_paths_absolute(config)
    folder.mkdir()
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(config, resolve=False))


def test_a_run_is_measured_as_it_was_trained_whatever_the_command_leaves_out(tmp_path):
    run = tmp_path / "run"
    write_run(run, "fgrpo.images.max_pixels=6000", "data.max_response_length=77", "judge=conclusion", "seed=3")
    said = [f"fgrpo.run_dir={run}"]
    for more, judge, samples in (
        ([], "local", 1024),
        (["evaluation.samples=5"], "local", 5),
        (["judge=oracle"], "server", 1024),
    ):
        overrides = [*said, *more]
        config = as_trained(load_config(overrides), overrides)
        assert (config.fgrpo.images.max_pixels, config.data.max_response_length) == (6000, 77)
        assert questions(config) == Path("runs/miniature-s3/world/test.parquet").absolute()
        assert config.fgrpo.judges.consistency.kind == judge
        assert config.evaluation.samples == samples
    moved = tmp_path / "moved"
    run.rename(moved)
    config = as_trained(load_config([f"fgrpo.run_dir={moved}"]), [])
    assert config.trainer.default_local_dir == str(moved / "checkpoints")


def test_a_copy_is_measured_by_its_own_checkpoints(tmp_path, capsys):
    run, copy = tmp_path / "run", tmp_path / "copy"
    write_run(run)
    shutil.copytree(run, copy)
    (run / "checkpoints").mkdir()
    config = as_trained(load_config([f"fgrpo.run_dir={copy}"]), [])
    assert config.trainer.default_local_dir == str(copy / "checkpoints")
    assert main([str(copy)]) == 1
    assert f"{copy}/checkpoints" in capsys.readouterr().err


def test_what_is_not_read_beside_a_runs_folder_is_refused(tmp_path, capsys):
    write_run(run := tmp_path / "run")
    for wrong in ("arm=grpo_t", "seed=3", "++trainer.experiment_name=foo"):
        assert main([str(run), wrong]) == 1
        assert capsys.readouterr().err.startswith(f"error: {wrong}: a run's folder says what the run was")
    assert main([str(run), "++evaluation.limit=10"]) == 1
    assert "error: evaluation.limit: no such key; there are evaluation.samples, " in capsys.readouterr().err


def test_the_last_table_counts_the_steps_that_a_judge_left_unmeasured(tmp_path):
    settings = read_settings(load_config([f"fgrpo.run_dir={tmp_path}"]))
    assert unmeasured_steps(settings) == {}
    file = MetricsFile(tmp_path / "metrics.jsonl")
    share = "fgrpo/{}/valid_share".format
    file.write(0, {share("consistency"): 0.0})  # the validation before the first step
    file.write(1, {share("consistency"): 0.1, share("semantic_grounding"): 1.0})  # done again after a resume
    for step, consistency, grounding in ((1, 1.0, 1.0), (2, 0.49, 1.0), (3, 0.5, 1.0), (4, 0.0, 1.0)):
        file.write(step, {share("consistency"): consistency, share("semantic_grounding"): grounding})
    file.write(5, {"fgrpo/consistency/applicable": 0})  # nothing was to be measured
    assert unmeasured_steps(settings) == {1: [], 2: ["consistency"], 3: [], 4: ["consistency"], 5: []}


def test_the_last_table_says_that_its_numbers_are_as_judged():
    assert erring_judges(read_settings(load_config([]))) == []
    key = "fgrpo.constraints.consistency.judge_error"
    settings = read_settings(load_config([f"{key}={{false_negative: 0.1, false_positive: 0.1}}"]))
    assert erring_judges(settings) == [
        "consistency: a true rate of 0.95 was asked for, which a judge with the errors {false_negative: 0.1, "
        "false_positive: 0.1} measures as 0.860; no number of the table is corrected for a judge's errors"
    ]
    assert erring_judges(read_settings(load_config(["arm=grpo_t"]))) == []


GPUS = ["backbone=qwen2_5_vl_7b", "dataset=fgrpo", "scale=gpus_8", "data.val_files=[mine/a.parquet,mine/b.parquet]"]


def test_a_run_on_gpus_has_its_table_of_its_own_validation_file_or_says_why_not_yet(tmp_path, capsys):
    run = tmp_path / "run"
    overrides = [*GPUS, "judge=qwen3_vl_30b", f"fgrpo.run_dir={run}"]
    write_run(run, *overrides)
    (run / "checkpoints/global_step_4").mkdir(parents=True)
    (run / "checkpoints/latest_checkpointed_iteration.txt").write_text("4")
    assert questions(as_trained(load_config(overrides), overrides)) == Path("mine/a.parquet").absolute()
    assert main(overrides) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("no table yet: the judge's server holds GPUs here")
    assert shown.endswith(f"CUDA_VISIBLE_DEVICES=N fgrpo summary {run}\n")
    assert main([str(run)]) == 1  # asked for, it is measured: here, a checkpoint without anything in it
    assert "global_step_4" in capsys.readouterr().err
    assert main([str(tmp_path)]) == 1
    assert f"error: {tmp_path}: no run there, config.yaml is missing" in capsys.readouterr().err
