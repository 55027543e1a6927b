import json

import pytest
import torch

from easyr1_fgrpo.training.state import load_state, save_state

from .made_steps import make

SHARES = {"consistency": [0.0, 1 / 3]}


def test_multipliers_and_counts_go_round_to_the_last_digit(tmp_path):
    saved, loaded = make(), make()
    score = (torch.tensor([1 / 3]), torch.tensor([True]))
    saved.controller.step(dict.fromkeys(saved.controller.multipliers, score))
    saved.unmeasured.load_state_dict(SHARES)
    saved.sudden.see("consistency", torch.tensor([1 / 3, 1.0]), 1.0)
    saved.standstills.see("consistency", 1.0, 0.5)
    save_state(saved, tmp_path / "global_step_20")
    assert [path.name for path in (tmp_path / "global_step_20").iterdir()] == ["fgrpo.json"]
    load_state(loaded, tmp_path / "global_step_20")
    assert loaded.controller.state_dict() == saved.controller.state_dict()
    assert loaded.controller.multipliers != make().controller.multipliers
    assert loaded.unmeasured.state_dict() == SHARES
    assert loaded.sudden.state_dict() == saved.sudden.state_dict() != {}
    assert loaded.standstills.state_dict() == {"consistency": 1}


def test_a_checkpoint_from_before_steps_were_counted_counts_from_zero(tmp_path):
    (tmp_path / "fgrpo.json").write_text(json.dumps(make().controller.state_dict()))
    load_state(loaded := make(), tmp_path)
    assert loaded.unmeasured.state_dict() == {}


def test_a_checkpoint_without_or_with_another_controllers_state_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"fgrpo\.json is missing: this checkpoint was not written by"):
        load_state(make(), tmp_path)
    save_state(make(dual={"controller": "fixed"}), tmp_path)
    with pytest.raises(ValueError, match="the saved state is that of controller 'fixed'"):
        load_state(make(), tmp_path)
