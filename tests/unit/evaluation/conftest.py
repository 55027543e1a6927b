import pytest
from judge_traces import RECORDS, write_run

from easyr1_fgrpo.miniature import build

from .judges import TextJudge


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    world = tmp_path_factory.mktemp("data") / "world"
    build.build(world, seed=0, train=1, val=1, test=12, sft=1, sft_val=1)
    return world / "test.parquet"


@pytest.fixture(scope="session")
def miniature(tmp_path_factory):
    """Trace file and scene file of a run with `RECORDS` judged rollouts."""
    return write_run(tmp_path_factory.mktemp("judge") / "run", RECORDS)


@pytest.fixture
def judge():
    return TextJudge()
