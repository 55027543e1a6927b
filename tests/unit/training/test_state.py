import pytest
import torch

from easyr1_fgrpo.algorithm import Constraint, DualAscent, FixedMultipliers
from easyr1_fgrpo.training.state import load_state, save_state

CONSTRAINTS = [Constraint("consistency", 0.95)]


def ascent():
    return DualAscent(CONSTRAINTS, lr=0.1, max_multiplier=5.0, min_applicable=1)


def test_multipliers_go_round_to_the_last_digit(tmp_path):
    saved, loaded = ascent(), ascent()
    saved.step({"consistency": (torch.tensor([1 / 3]), torch.tensor([True]))})
    save_state(saved, tmp_path / "global_step_20")
    assert [path.name for path in (tmp_path / "global_step_20").iterdir()] == ["fgrpo.json"]
    load_state(loaded, tmp_path / "global_step_20")
    assert loaded.state_dict() == saved.state_dict()
    assert loaded.multipliers != ascent().multipliers


def test_a_checkpoint_without_or_with_another_controllers_state_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"fgrpo\.json is missing: this checkpoint was not written by"):
        load_state(ascent(), tmp_path)
    save_state(FixedMultipliers(CONSTRAINTS), tmp_path)
    with pytest.raises(ValueError, match="the saved state is that of controller 'fixed'"):
        load_state(ascent(), tmp_path)
