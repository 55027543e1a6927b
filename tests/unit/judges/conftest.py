import pytest

from easyr1_fgrpo.model_client import retrying


@pytest.fixture
def no_back_off(monkeypatch):
    """Repetitions of a call come at once."""
    monkeypatch.setattr(retrying, "FIRST_PAUSE_S", 0.0)
