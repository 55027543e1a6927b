import io

import pytest
import torch
from PIL import Image

from easyr1_fgrpo.miniature.model import build_model, save_checkpoint
from easyr1_fgrpo.miniature.tokenizer import build_tokenizer


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tiny_model():
    return build_model(build_tokenizer(), seed=0)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiny")
    tokenizer = build_tokenizer()
    save_checkpoint(build_model(tokenizer, seed=0), tokenizer, path)
    return path


@pytest.fixture
def png():
    buffer = io.BytesIO()
    Image.new("RGB", (100, 60), (200, 30, 40)).save(buffer, "PNG")
    return buffer.getvalue()
