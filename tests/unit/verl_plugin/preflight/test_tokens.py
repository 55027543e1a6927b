"""Rows in words that a policy's tokenizer does not know."""

from tokenizers import Tokenizer
from tokenizers.models import BPE, WordLevel
from tokenizers.pre_tokenizers import Whitespace

from easyr1_fgrpo.config.load import load_config
from easyr1_fgrpo.miniature.build import build
from easyr1_fgrpo.rows import read_rows
from easyr1_fgrpo.verl_plugin.preflight.tokens import token_problems


def save(folder, model):
    folder.mkdir()
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def test_rows_in_words_that_the_tokenizer_does_not_know_are_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the backbone of an earlier run would be found
    build(tmp_path / "world", seed=0, train=40, val=4, test=4, sft=4, sft_val=4)
    rows = tmp_path / "world/train.parquet"
    words = {
        word
        for row in read_rows(rows)
        for text in (row.extra_info.question, *row.extra_info.choices)
        for word in text.replace("?", " ? ").split()
    }

    def problems(name, model=None):
        folder = save(tmp_path / name, model) if model else tmp_path / name
        return list(token_problems(rows, load_config([f"actor_rollout_ref.model.path={folder}"])))

    known = {word: number for number, word in enumerate(["<unk>", *sorted(words)])}
    assert problems("knows", WordLevel(known, unk_token="<unk>")) == []
    less = {word: number for number, word in enumerate(["<unk>", *sorted(words - {"red", "left"})])}
    (line,) = problems("another", WordLevel(less, unk_token="<unk>"))
    assert line.startswith(f"actor_rollout_ref.model.path={tmp_path}/another: ")
    assert "are unknown to its tokenizer ('red', 'left')" in line
    assert problems("bytes", BPE()) == []
    assert capsys.readouterr().out == ""
    assert problems("absent") == []
    assert capsys.readouterr().out.startswith("not checked here: whether the tokenizer of ")
