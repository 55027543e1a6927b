"""A folder in the warm start's place: finished, or stopped halfway."""

import shutil

import pytest

from easyr1_fgrpo.config.load import load_config
from easyr1_fgrpo.verl_plugin.preflight.checks import _file_problems
from easyr1_fgrpo.verl_plugin.preflight.warm_start import to_make, unfinished_problems


@pytest.mark.parametrize("last", ["train_results.json", "image_budget.json"])
def test_finished_is_what_its_maker_writes_at_its_end(tmp_path, checkpoint, last):
    """LLaMA-Factory writes into the folder itself: checkpoints on the way, weights at its end and then its results."""
    warm = tmp_path / "warm"
    config = load_config(["backbone=qwen2_5_vl_7b", "dataset=fgrpo", f"stages.warm_start={warm}"])
    assert (to_make(config), list(unfinished_problems(config))) == (True, [])
    (warm / "checkpoint-1406").mkdir(parents=True)
    (problem,) = unfinished_problems(config)
    assert problem.startswith(f"stages.warm_start={warm}: no finished warm start (the checkpoint has no configuration")
    assert not any("config.json is missing" in line for line in _file_problems(config)), "said once"
    (warm / "trainer_log.jsonl").touch()
    shutil.copytree(checkpoint, warm, dirs_exist_ok=True)  # its weights may be half written
    (problem,) = unfinished_problems(config)
    assert problem.startswith(f"stages.warm_start={warm}: LLaMA-Factory was stopped there before its end")
    (warm / last).touch()
    assert (to_make(config), list(unfinished_problems(config))) == (False, [])
