import pytest
import torch

from easyr1_fgrpo.miniature import build
from easyr1_fgrpo.miniature.model import build_model, save_checkpoint
from easyr1_fgrpo.miniature.tokenizer import build_tokenizer

from .judges import TextJudge


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """A whole checkpoint folder with random weights."""
    path = tmp_path_factory.mktemp("tiny")
    tokenizer = build_tokenizer()
    save_checkpoint(build_model(tokenizer, seed=0), tokenizer, path)
    return path


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    world = tmp_path_factory.mktemp("data") / "world"
    build.build(world, seed=0, train=1, val=1, test=12, sft=1, sft_val=1)
    return world / "test.parquet"


@pytest.fixture
def judge():
    return TextJudge()
