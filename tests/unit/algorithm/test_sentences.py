import itertools
import math
import statistics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from easyr1_fgrpo.algorithm import JudgedSentences, constrained_advantage, sentence_advantage

from .slow_loops import slow_normalize

MASK_BT = torch.ones(2, 6, dtype=torch.long)
GROUPS_B = torch.zeros(2, dtype=torch.long)
ALL_B = torch.ones(2, dtype=torch.bool)


def judged(*sentences):
    """Sentences as (row, first token, one past the last, verdict)."""
    rows, starts, ends, values = zip(*sentences, strict=True) if sentences else ((), (), (), ())
    whole = [torch.tensor(x, dtype=torch.long) for x in (rows, starts, ends)]
    return JudgedSentences(torch.tensor(values, dtype=torch.float64), *whole)


# Row 0 has a correct and an incorrect sentence, row 1 two correct ones: mean 3/4, deviation sqrt((3/16 + 9/16) / 3) =
# .5, so z is .5 for a correct and -1.5 for an incorrect one. Token 0, token 3 of row 0 and token 5 are outside and get
# what the rollout as a whole gets.
WHOLE_B = torch.tensor([-9.0, 9.0], dtype=torch.float64)
FOUR = judged((0, 1, 3, 1.0), (0, 4, 5, 0.0), (1, 1, 3, 1.0), (1, 3, 5, 1.0))
CREDIT = [[-9.0, 0.5, 0.5, -9.0, -1.5, -9.0], [9.0, 0.5, 0.5, 0.5, 0.5, 9.0]]


def test_golden():
    found = sentence_advantage(FOUR, GROUPS_B, ALL_B, WHOLE_B, MASK_BT)
    assert found.credit_BT.tolist() == [pytest.approx(row, abs=1e-5) for row in CREDIT]
    assert found.zero_variance == 0.0


def test_what_is_not_of_the_response_or_not_applicable_gets_nothing_and_counts_nowhere():
    mask_BT = MASK_BT.clone()
    mask_BT[0, 4] = 0  # a tool's token, say
    assert sentence_advantage(FOUR, GROUPS_B, ALL_B, WHOLE_B, mask_BT).credit_BT[0, 4] == 0.0
    # Row 1 does not apply: 1 and 0 are left, mean .5, deviation sqrt(.5)
    found = sentence_advantage(FOUR, GROUPS_B, torch.tensor([True, False]), 0 * WHOLE_B, MASK_BT)
    z = 0.5 / math.sqrt(0.5)
    assert found.credit_BT[0].tolist() == pytest.approx([0, z, z, 0, -z, 0], abs=1e-5)
    assert not found.credit_BT[1].any()


def test_sentences_of_a_group_that_are_alike_get_nothing():
    found = sentence_advantage(judged((0, 0, 2, 1.0), (1, 0, 2, 1.0)), GROUPS_B, ALL_B, WHOLE_B, MASK_BT)
    assert found.credit_BT.tolist() == [[0.0] * 2 + [-9.0] * 4, [0.0] * 2 + [9.0] * 4]
    assert found.zero_variance == 1.0
    alone = sentence_advantage(judged((0, 0, 2, 1.0)), GROUPS_B, ALL_B, WHOLE_B, MASK_BT)
    assert alone.credit_BT.tolist() == [[0.0] * 2 + [-9.0] * 4, [9.0] * 6]
    assert alone.zero_variance is None
    without = sentence_advantage(judged(), GROUPS_B, ALL_B, WHOLE_B, MASK_BT)
    assert without.credit_BT.tolist() == [[-9.0] * 6, [9.0] * 6]


@st.composite
def batches(draw):
    size, length = draw(st.integers(1, 8)), 9
    sentences = []
    for row in range(size):
        edges = sorted(draw(st.sets(st.integers(0, length), max_size=6)))
        for start, end in itertools.pairwise(edges):
            if draw(st.booleans()):
                sentences.append((row, start, end, draw(st.sampled_from([0.0, 1.0]))))
    rows = lambda elements: draw(st.lists(elements, min_size=size, max_size=size))  # noqa: E731
    return {
        "sentences": draw(st.permutations(sentences)),
        "groups": rows(st.sampled_from([-3, 5])),
        "mask": rows(st.booleans()),
        "tokens": rows(st.lists(st.integers(0, 1), min_size=length, max_size=length)),
        "task": rows(st.sampled_from([0.0, 0.5, 1.0])),
        "valid": rows(st.booleans()),
        "scores": rows(st.sampled_from([0.0, 0.25, 0.5, 1.0])),
    }


def slow_credit(batch, mask, whole):
    credit = [[z * token for token in tokens] for z, tokens in zip(whole, batch["tokens"], strict=True)]
    values = [value for *_, value in batch["sentences"]]
    groups = [batch["groups"][row] for row, *_ in batch["sentences"]]
    kept = [mask[row] for row, *_ in batch["sentences"]]
    for (row, start, end, _), z in zip(
        batch["sentences"], slow_normalize(values, groups, kept, 2, 0.0, 1e-6), strict=True
    ):
        for token in range(start, end):
            credit[row][token] = z if batch["tokens"][row][token] else 0.0
    return credit


def tensors(batch):
    masks = (torch.tensor(batch[key], dtype=torch.bool) for key in ("mask", "valid"))
    return torch.tensor(batch["groups"]), *masks, torch.tensor(batch["tokens"])


@given(batches())
def test_equals_the_slow_loop(batch):
    groups_B, mask_B, _, tokens_BT = tensors(batch)
    whole = [1.0 + row for row in range(len(groups_B))]
    whole_B = torch.tensor(whole, dtype=torch.float64)
    found = sentence_advantage(judged(*batch["sentences"]), groups_B, mask_B, whole_B, tokens_BT)
    assert found.credit_BT.tolist() == [pytest.approx(row) for row in slow_credit(batch, batch["mask"], whole)]


@given(batches())
def test_the_sentences_of_a_group_sum_to_zero(batch):
    # one token a sentence, so that the sum over tokens is the sum over sentences
    sentences = [(row, start, start + 1, value) for row, start, _, value in batch["sentences"]]
    groups_B, mask_B, _, tokens_BT = tensors(batch)
    all_BT, none_B = torch.ones_like(tokens_BT), torch.zeros(len(groups_B), dtype=torch.float64)
    credit_BT = sentence_advantage(judged(*sentences), groups_B, mask_B, none_B, all_BT).credit_BT
    for group in (-3, 5):
        assert credit_BT[groups_B == group].sum().item() == pytest.approx(0.0, abs=1e-9)


@given(batches(), st.sampled_from([0.0, 1.0, 2.7]), st.sampled_from(["token", "none"]))
def test_the_constrained_advantage_adds_it_token_by_token(batch, multiplier, whiten):
    groups_B, mask_B, valid_B, tokens_BT = tensors(batch)
    size = len(groups_B)
    result = constrained_advantage(
        torch.tensor(batch["task"]),
        {"grounding": torch.tensor(batch["scores"]), "other": torch.zeros(size)},
        {"grounding": mask_B, "other": mask_B},
        {"grounding": multiplier, "other": 1.0},
        groups_B,
        tokens_BT,
        valid_B=valid_B,
        sentences={"grounding": judged(*batch["sentences"])},
        whiten=whiten,
    )
    task = slow_normalize(batch["task"], batch["groups"], batch["valid"], 2, 0.0, 1e-6)
    applies = [m and v for m, v in zip(batch["mask"], batch["valid"], strict=True)]
    whole = slow_normalize(batch["scores"], batch["groups"], applies, 2, 0.0, 1e-6)
    credit = slow_credit(batch, applies, whole)
    total = [[z + multiplier * c for c in row] for z, row in zip(task, credit, strict=True)]
    outside = [z + multiplier * c for z, c in zip(task, whole, strict=True)]
    if whiten == "token":
        population = [
            total[row][token]
            for row in range(size)
            for token, is_response in enumerate(batch["tokens"][row])
            if batch["valid"][row] and is_response
        ]
        enough = len(population) > 1
        mean = statistics.fmean(population) if enough else 0.0
        scale = 1.0 / math.sqrt(statistics.variance(population) + 1e-8) if enough else 0.0
        total = [[(x - mean) * scale for x in row] for row in total]
        outside = [(x - mean) * scale for x in outside]
    kept_BT = (tokens_BT.bool() & valid_B[:, None]).tolist()
    expected = [
        [x if keep else 0.0 for x, keep in zip(*rows, strict=True)] for rows in zip(total, kept_BT, strict=True)
    ]
    assert result.advantages.tolist() == [pytest.approx(row, rel=1e-4, abs=1e-4) for row in expected]
    of_the_whole = [x if any(keep) else 0.0 for x, keep in zip(outside, kept_BT, strict=True)]
    assert result.whole_B.tolist() == pytest.approx(of_the_whole, rel=1e-4, abs=1e-4)
    assert (
        list(result.shares) == list(result.normalized) == list(result.zero_variance) == ["task", "grounding", "other"]
    )


def test_shares_compare_tokens():
    # task z: sqrt(.5) on both rows. Scores are alike, so tokens outside get 0. Credit: mean |z| over tokens
    # (.5 + .5 + 1.5) / 6 and 2 / 6, times 3
    result = constrained_advantage(
        torch.tensor([1.0, 0.0]),
        {"grounding": torch.zeros(2)},
        {"grounding": ALL_B},
        {"grounding": 3.0},
        GROUPS_B,
        MASK_BT,
        sentences={"grounding": FOUR},
    )
    task, credit = 2 * math.sqrt(0.5), 3.0 * (2.5 / 6 + 2.0 / 6)
    assert result.shares == pytest.approx({"task": task / (task + credit), "grounding": credit / (task + credit)})
    assert result.normalized["grounding"].tolist() == pytest.approx([-0.5 / 6, 2.0 / 6], abs=1e-5)


def test_impossible_sentences_are_refused(subtests):
    for sentence, message in [
        ((2, 0, 1, 1.0), "tokens 0 to 1 of row 2, outside of 2 rows of 6 tokens"),
        ((0, 5, 7, 1.0), "tokens 5 to 7 of row 0, outside"),
        ((0, 3, 3, 1.0), "tokens 3 to 3 of row 0, outside"),
        ((-1, 0, 1, 1.0), "of row -1, outside"),
        ((1, 2, 4, 1.0), "two judged sentences of row 1 share a token"),
        ((0, 3, 4, math.nan), "nan in row 1, where it applies"),
    ]:
        with subtests.test(sentence=sentence), pytest.raises(ValueError, match=message):
            sentence_advantage(judged((1, 1, 3, 0.0), sentence), GROUPS_B, ALL_B, WHOLE_B, MASK_BT)


def test_ablations_of_whole_rollouts_are_refused(subtests):
    for options in [{"mask_mode": "zero_fill"}, {"whiten": "rollout"}]:
        with subtests.test(options=options):
            signal = {"grounding": torch.zeros(2)}
            with pytest.raises(ValueError, match="credit by sentence needs"):
                constrained_advantage(
                    torch.zeros(2), signal, {"grounding": ALL_B}, {"grounding": 1.0}, GROUPS_B, MASK_BT,
                    sentences={"grounding": FOUR}, **options,
                )  # fmt: skip


def test_sentences_are_of_a_signal():
    with pytest.raises(ValueError, match=r"given for \['grounding'\], which is no signal here"):
        constrained_advantage(torch.zeros(2), {}, {}, {}, GROUPS_B, MASK_BT, sentences={"grounding": FOUR})
