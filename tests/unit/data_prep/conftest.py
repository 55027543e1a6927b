"""Shared by the tests of data preparation."""

import pytest

WORDS = ["where", "is", "the", "cup", "left", "right", "how", "many", "chairs", "are", "there", "which", "closer"]


@pytest.fixture(scope="session")
def embedder(tmp_path_factory):
    """A sentence-transformers folder: one random vector a word, averaged."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    torch.manual_seed(0)
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(["[UNK]", *WORDS])}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    folder = tmp_path_factory.mktemp("embedder")
    SentenceTransformer(modules=[StaticEmbedding(words, embedding_dim=16)], device="cpu").save(str(folder))
    return str(folder)
