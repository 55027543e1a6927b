import io

import pytest
from PIL import Image

from easyr1_fgrpo.miniature.model import build_model
from easyr1_fgrpo.miniature.tokenizer import build_tokenizer


@pytest.fixture
def tiny_model():
    return build_model(build_tokenizer(), seed=0)


@pytest.fixture
def png():
    buffer = io.BytesIO()
    Image.new("RGB", (100, 60), (200, 30, 40)).save(buffer, "PNG")
    return buffer.getvalue()
