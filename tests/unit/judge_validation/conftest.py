import pytest
from judge_traces import RECORDS, write_run


@pytest.fixture(scope="session")
def miniature(tmp_path_factory):
    """Trace file and scene file of a run with `RECORDS` judged rollouts."""
    return write_run(tmp_path_factory.mktemp("judge") / "run", RECORDS)


@pytest.fixture(scope="session")
def few(tmp_path_factory):
    """The same with twelve."""
    return write_run(tmp_path_factory.mktemp("judge") / "few", 12, seed=5)
