import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from easyr1_fgrpo.judges.protocol import Failure, Label, Verdict
from easyr1_fgrpo.miniature.tokenizer import build_tokenizer
from easyr1_fgrpo.rewards import RolloutScore, SentenceVerdict, parse_response, split_sentences
from easyr1_fgrpo.training.sentence_tokens import character_spans, judged_sentences, sentence_tokens, trace_start

CORPUS = ["<think>The red circle is left of the blue square. So the answer is left.</think><answer>left</answer>"] * 5


@pytest.fixture(scope="module")
def bpe():
    """A byte-level BPE as Qwen's, small enough that most words are several tokens."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<|im_end|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    backend.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|im_end|>", clean_up_tokenization_spaces=False)


def score_of(text, labels):
    """A score with one verdict per sentence, in turn; None for a sentence nobody judged."""
    parsed = parse_response(text)
    sentences = split_sentences(parsed.trace or "")
    verdicts = [
        None if label is None else label if isinstance(label, Verdict) else Verdict(label, "j") for label in labels
    ]
    pairs = zip(sentences, (verdicts * len(sentences))[: len(sentences)], strict=True)
    return RolloutScore({}, parsed, None, tuple(SentenceVerdict(*pair) for pair in pairs), truncated=False)


def written(tokenizer, text, labels, ids=None):
    ids = tokenizer(text)["input_ids"] if ids is None else ids
    found = sentence_tokens(tokenizer, ids, tokenizer.decode(ids, skip_special_tokens=True), score_of(text, labels))
    return [(tokenizer.decode(ids[start:end]), value) for start, end, value in found]


TEXT = (
    "<think>The red circle is at <bbox>[14,14,56,42]</bbox>. The red circle is left of the blue square."
    " So the answer is left.</think><answer>left</answer>"
)


def test_the_tiny_tokenizer():
    found = written(build_tokenizer(), TEXT, [Label.CORRECT, Label.INCORRECT, Label.SKIP])
    assert found == [
        ("The red circle is at <bbox>[14,14,56,42]</bbox>.", 1.0),
        (" The red circle is left of the blue square.", 0.0),
    ]


def test_who_has_no_verdict_has_no_tokens():
    failed = Verdict(None, "j", Failure.DEADLINE)
    assert written(build_tokenizer(), TEXT, [None, failed, Label.CORRECT]) == [(" So the answer is left.", 1.0)]


TROUBLE = "<think>Ein rotes Auto 🚗 steht links.\nDas 図形 ist blau。The end is red.</think><answer>left</answer>"


def test_bytes_of_one_character_in_several_tokens(bpe):
    sentences = ["Ein rotes Auto 🚗 steht links.", "Das 図形 ist blau。", "The end is red."]
    canonical = bpe(TROUBLE)["input_ids"]
    one_by_one = [token for char in TROUBLE for token in bpe(char)["input_ids"]]  # a policy may write any ids
    for ids, last in ((canonical, "The end is red.</"), (one_by_one, "The end is red.")):  # ".</" is one token
        found = written(bpe, TROUBLE, [Label.CORRECT, Label.INCORRECT, Label.CORRECT], [*ids, bpe.eos_token_id])
        assert [text.strip() for text, _ in found] == [*sentences[:2], last]
        assert [value for _, value in found] == [1.0, 0.0, 1.0]


texts = st.text(st.sampled_from("The red. Is it? 🚗図é\n!<>/"), max_size=60)


@given(trace=texts, cuts=st.lists(st.integers(1, 5), min_size=1), labels=st.lists(st.sampled_from(Label), min_size=1))
def test_every_token_that_holds_a_character_of_a_sentence_is_its_own_or_the_one_befores(bpe, trace, cuts, labels):
    text = f"<think>{trace}</think><answer>left</answer>"
    ids, offset = [], 0
    while offset < len(text):
        cut = cuts[len(ids) % len(cuts)]
        ids += bpe(text[offset : offset + cut])["input_ids"]
        offset += cut
    score = score_of(text, labels)
    found = sentence_tokens(bpe, ids, text, score)
    start = text.index("<think>") + len("<think>")
    start = text.index(score.response.trace, start) if score.response.trace else start
    ends = [len(bpe.decode(ids[: token + 1]).rstrip("\ufffd")) for token in range(len(ids))]
    begins = [0, *ends[:-1]]
    owners = {token: number for number, (first, last, _) in enumerate(found) for token in range(first, last)}
    assert len(owners) == sum(last - first for first, last, _ in found)  # none has two
    judged = [i.sentence for i in score.sentences if i.verdict.label in (Label.CORRECT, Label.INCORRECT)]
    for sentence in judged:
        for token in range(len(ids)):
            if max(begins[token], start + sentence.start) < min(ends[token], start + sentence.end):
                assert token in owners
    values = [float(i.verdict.label is Label.CORRECT) for i in score.sentences if i.sentence in judged]
    if len(found) == len(judged):
        assert [value for *_, value in found] == values


def test_two_sentences_in_one_token(bpe):
    backend = Tokenizer(models.WordLevel({"<think>": 0, "A red.": 1, " B red. C red.": 2, "</think>": 3, "?": 4}, "?"))
    backend.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, clean_up_tokenization_spaces=False)
    text = "<think>A red. B red. C red.</think>"
    assert len(split_sentences(parse_response(text).trace)) == 3
    found = sentence_tokens(tokenizer, [0, 1, 2, 3], text, score_of(text, [Label.CORRECT, Label.INCORRECT]))
    assert found == [(1, 2, 1.0), (2, 3, 0.0)]  # the third has no token of its own


def test_spans_cover_the_text_without_gap(bpe):
    ids = [*bpe(TROUBLE)["input_ids"], bpe.eos_token_id]
    spans = character_spans(bpe, ids, TROUBLE)
    assert len(spans) == len(ids)
    assert "".join(TROUBLE[a:b] for a, b in dict.fromkeys(spans)) == TROUBLE
    assert spans[-1] == (len(TROUBLE), len(TROUBLE))


def test_bytes_that_are_no_character_break_nothing(bpe):
    car = bpe("🚗")["input_ids"]
    ids = [*bpe("red ")["input_ids"], car[0], *bpe(" left")["input_ids"], car[0], car[1]]
    text = bpe.decode(ids)
    spans = character_spans(bpe, ids, text)
    assert "".join(text[a:b] for a, b in dict.fromkeys(spans)) == text


def test_a_tokenizer_whose_text_is_not_the_sum_of_its_tokens_is_refused():
    backend = Tokenizer(models.WordLevel({"red": 0, "blue": 1, "?": 2}, "?"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)  # joins words with spaces
    with pytest.raises(ValueError, match=r"decodes \[1\] to 'blue', .* ' blu' .*use reward.level=outcome"):
        character_spans(tokenizer, [0, 1], tokenizer.decode([0, 1]))


pieces = st.lists(st.sampled_from(["<think>", "</think>", "<answer>", "</answer>", "a", " b ", "c", " "]), max_size=10)


@given(pieces)
def test_where_the_trace_begins_is_what_the_parser_reads(parts):
    text = "".join(parts)
    trace = parse_response(text).trace
    if trace is None or (offset := trace_start(text, trace)) is None:
        return
    assert text.startswith(trace, offset)
    # another character there is another trace, so it is this offset that was read
    assert parse_response(f"{text[:offset]}*{text[offset + 1 :]}").trace != trace


def test_an_uncertain_place_gets_no_credit():
    assert trace_start("left</think><answer>left</answer><think>left", "left") is None
    assert trace_start("left</think><answer>left</answer>", "left") == 0
    assert trace_start("<answer>a</answer><think> left", "left") == 26


def test_sentences_of_a_batch():
    found = judged_sentences([[(0, 2, 1.0)], [], [(1, 3, 0.0), (3, 4, 1.0)]])
    assert found.rows_S.tolist() == [0, 2, 2]
    assert found.values_S.tolist() == [1.0, 0.0, 1.0]
    assert judged_sentences([[], []]).rows_S.dtype == torch.long
