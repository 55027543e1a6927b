from pathlib import Path

from easyr1_fgrpo.config.load import load_config
from easyr1_fgrpo.verl_plugin.paths import make_paths_absolute


def test_every_path_that_ray_workers_read_is_written_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    config = load_config(
        [
            "judge=openai_compatible",
            "judge_endpoint={model: a, base_urls: [http://127.0.0.1:9/v1]}",
            "fgrpo.run_dir=runs/mine",
            "fgrpo.judges.grounding.prompt=mine.jinja",
            "actor_rollout_ref.model.path=model",
            "data.train_files=[a.parquet,/b.parquet]",
        ]
    )
    make_paths_absolute(config)
    assert config.fgrpo.run_dir == str(tmp_path / "runs/mine")
    assert config.trainer.default_local_dir == str(tmp_path / "runs/mine/checkpoints")
    assert config.fgrpo.judge_cache.directory == str(tmp_path / "runs/judge_cache")
    assert config.fgrpo.judges.grounding.prompt == str(tmp_path / "mine.jinja")
    assert "prompt" not in config.fgrpo.judges.consistency  # ours has no path
    assert config.actor_rollout_ref.model.path == str(tmp_path / "model")
    assert list(config.data.train_files) == [str(tmp_path / "a.parquet"), "/b.parquet"]


def test_a_hub_id_and_no_cache_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load_config(["actor_rollout_ref.model.path=Qwen/Qwen2.5-VL-3B-Instruct", "fgrpo.judge_cache.directory=''"])
    make_paths_absolute(config)
    assert config.actor_rollout_ref.model.path == "Qwen/Qwen2.5-VL-3B-Instruct"
    assert config.fgrpo.judge_cache.directory == ""
    assert Path(config.fgrpo.run_dir).is_absolute()
