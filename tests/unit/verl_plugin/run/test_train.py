# What `fgrpo train` does around verl: where it goes on, and what it writes before it starts.
import pytest
from omegaconf import OmegaConf

from easyr1_fgrpo.verl_plugin.run import launch
from easyr1_fgrpo.verl_plugin.run.train import _go_on

from ..saved_run import begin, config_of, save


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    begin()
    return tmp_path


def test_a_finished_run_starts_nothing(monkeypatch, capsys):
    monkeypatch.setattr(launch, "train", lambda *_: pytest.fail("started"))
    save(10)
    assert _go_on(config_of("trainer.total_training_steps=10")) == 0
    assert "all 10 steps are done; raise trainer.total_training_steps" in capsys.readouterr().out


def test_a_run_notes_what_it_is_and_goes_on_after_its_last_step(folder, monkeypatch):
    started = []
    monkeypatch.setattr(launch, "train", lambda config, done, _: started.append(done) or 0)
    config = config_of("trainer.total_training_steps=20", "seed=3")
    assert _go_on(config) == 0
    save(10)
    assert _go_on(config) == 0
    assert started == [0, 10]
    assert OmegaConf.load(folder / "run/config.yaml").seed == 3
