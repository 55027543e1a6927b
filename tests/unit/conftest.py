import pytest


@pytest.fixture
def tiny_model():
    """Random weights; each test gets its own."""
    import tiny  # loads torch and transformers

    return tiny.model()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """The same weights as a whole checkpoint folder."""
    import tiny

    return tiny.save(tmp_path_factory.mktemp("tiny"))
