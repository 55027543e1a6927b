import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from easyr1_fgrpo.judge_validation.agreement import (
    agreement_share,
    cohen_kappa,
    confusion_by_record,
    estimate,
)
from easyr1_fgrpo.judge_validation.families import families, shared_family


def obvious_kappa(pairs):
    n = len(pairs)
    observed = sum(a == b for a, b in pairs) / n
    chance = sum(sum(a == k for a, _ in pairs) / n * sum(b == k for _, b in pairs) / n for k in range(3))
    return (observed - chance) / (1 - chance)


@pytest.mark.parametrize(
    ("confusion", "kappa"),
    [
        ([[20, 5], [10, 15]], 0.4),  # p_o = 35/50, p_e = (25*30 + 25*20) / 2500 = 0.5
        ([[5, 0], [0, 3]], 1.0),
        ([[0, 5], [5, 0]], -1.0),
        ([[6, 0], [4, 0]], 0.0),  # the second rater says one thing only
        ([[10, 0], [0, 0]], None),  # both do
        ([[0, 0], [0, 0]], None),
    ],
)
def test_kappa_by_hand(confusion, kappa):
    measured = cohen_kappa(np.array(confusion))
    assert measured == (kappa if kappa is None else pytest.approx(kappa))


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=2, max_size=40))
def test_kappa_is_the_obvious_one_over_single_items(pairs):
    by_record = confusion_by_record([(number // 3, a, b) for number, (a, b) in enumerate(pairs)], 3)
    kappa = cohen_kappa(by_record.sum(axis=0))
    if len({label for pair in pairs for label in pair}) == 1:
        assert kappa is None
    else:
        assert kappa == pytest.approx(obvious_kappa(pairs))
    assert agreement_share(by_record.sum(axis=0)) == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))


def test_sentences_of_a_record_are_resampled_together():
    rng = np.random.default_rng(0)
    right = rng.random(60) < 0.7
    alone = confusion_by_record([(i, int(i % 2), int(i % 2 if ok else 1 - i % 2)) for i, ok in enumerate(right)], 2)
    tenfold = alone * 10  # every record says its one thing ten times: no more is known than before
    first, second = (estimate(counts, cohen_kappa, seed=1) for counts in (alone, tenfold))
    assert (second.value, second.low, second.high) == (first.value, first.low, first.high)
    assert (first.n, second.n) == (60, 600)
    assert first.low < first.value < first.high


def test_the_interval_covers_the_truth_in_about_95_of_100():
    rng = np.random.default_rng(3)
    hits = 0
    for trial in range(60):
        agreed = rng.random(80) < 0.8
        counts = confusion_by_record([(i, 0, int(not ok)) for i, ok in enumerate(agreed)], 2)
        found = estimate(counts, agreement_share, seed=trial)
        hits += found.low <= 0.8 <= found.high
    assert hits >= 51


def test_no_interval_where_there_is_none():
    certain = estimate(confusion_by_record([(i, i % 2, i % 2) for i in range(50)], 2), agreement_share, seed=0)
    assert (certain.value, certain.low, certain.high) == (1.0, None, None)
    nothing = estimate(confusion_by_record([], 3), cohen_kappa, seed=0)
    assert (nothing.value, nothing.low, nothing.high, nothing.n) == (None, None, None, 0)
    rarely_defined = estimate(confusion_by_record([(0, 1, 1), (1, 0, 0)], 2), cohen_kappa, seed=0)
    assert (rarely_defined.value, rarely_defined.low) == (1.0, None)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("Qwen/Qwen3-VL-30B-A3B-Instruct", "qwen"),
        ("qwq-32b", "qwen"),
        ("gpt-4o-2024-11-20", "gpt"),
        ("o4-mini", "gpt"),
        ("google/gemini-2.5-pro", "gemini"),
        ("paligemma2-3b", "gemma"),
        ("claude-sonnet-4", "claude"),
        ("meta-llama/Llama-3.2-11B-Vision", "llama"),
        ("ollama/pixtral-12b", "mistral"),
        ("OpenGVLab/InternVL3-8B", "internvl"),
        ("mistralai/Mixtral-8x7B", "mistral"),
        ("oracle", "oracle"),
        ("dolphin-3", "dolphin-3"),
    ],
)
def test_families(name, family):
    assert families(name) == {family}


def test_shared_families():
    assert shared_family("Qwen/Qwen2.5-VL-7B", "qwen3-vl") == "qwen"
    assert shared_family("DeepSeek-R1-Distill-Qwen-7B", "Qwen2.5-VL") == "qwen"
    assert shared_family("gpt-4o", "claude-opus") is None
    assert shared_family("my-judge", " My-Judge ") == "my-judge"
    assert shared_family("my-judge", "my-judge-2") is None
