import pytest

from easyr1_fgrpo.judges import openai_compatible


@pytest.fixture
def no_back_off(monkeypatch):
    """Repetitions of a call come at once."""
    monkeypatch.setattr(openai_compatible, "BACK_OFF", lambda state: 0.0)
