import pytest


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """A whole checkpoint folder with random weights."""
    from easyr1_fgrpo.miniature.model import build_model, save_checkpoint
    from easyr1_fgrpo.miniature.tokenizer import build_tokenizer

    path = tmp_path_factory.mktemp("tiny")
    tokenizer = build_tokenizer()
    save_checkpoint(build_model(tokenizer, seed=0), tokenizer, path)
    return path
