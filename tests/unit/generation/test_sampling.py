import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from easyr1_fgrpo.generation.sampling import Sampling, SeededGumbel

LOGITS_V = torch.tensor([1.0, 0.2, -0.5, 2.0, 0.0, -3.0])


def draws(logits_V, n, banned=(), **sampling):
    gumbel = SeededGumbel([Sampling(seed=seed, **sampling) for seed in range(n)], banned)
    return gumbel(torch.zeros(n, 1, dtype=torch.long), logits_V.repeat(n, 1)).argmax(-1)


def test_sampled_frequencies_match_softmax():
    for temperature in [0.5, 1.0, 2.0]:
        counts = torch.bincount(draws(LOGITS_V, 3000, temperature=temperature), minlength=6)
        expected = 3000 * torch.softmax(LOGITS_V.double() / temperature, -1)
        kept = expected > 5
        observed = torch.cat([counts[kept], counts[~kept].sum()[None]]).numpy()
        wanted = torch.cat([expected[kept], expected[~kept].sum()[None]]).numpy()
        observed, wanted = observed[wanted > 0], wanted[wanted > 0]
        assert chisquare(observed, wanted).pvalue > 0.01, temperature


def test_banning_renormalises_over_the_others():
    counts = torch.bincount(draws(LOGITS_V, 3000, banned=[3, 5]), minlength=6)
    assert counts[3] == counts[5] == 0
    kept = [0, 1, 2, 4]
    expected = 3000 * torch.softmax(LOGITS_V.double()[kept], -1)
    assert chisquare(counts[kept].numpy(), expected.numpy()).pvalue > 0.01


def test_top_k_draws_only_the_k_most_likely_but_each_of_them():
    assert set(draws(LOGITS_V, 300, top_k=3).tolist()) == {0, 1, 3}
    assert set(draws(LOGITS_V, 50, top_k=1).tolist()) == {3}


def test_top_p_draws_only_the_nucleus_but_all_of_it():
    # softmax(LOGITS_V): exp is 7.389, 2.718, 1.221, 1, .607, .050 for tokens 3, 0, 1, 4, 2, 5, in all 12.985, so .569,
    # .209, .094, .077, .047, .004; the sums from the top are .569, .778, .872.
    assert set(draws(LOGITS_V, 300, top_p=0.5).tolist()) == {3}
    assert set(draws(LOGITS_V, 300, top_p=0.7).tolist()) == {0, 3}
    assert set(draws(LOGITS_V, 300, top_p=0.8).tolist()) == {0, 1, 3}


@settings(max_examples=50)
@given(
    st.lists(st.floats(-8, 8), min_size=2, max_size=9),
    st.integers(1, 9),
    st.floats(0.05, 1.0),
    st.integers(0, 2**63 - 1),
)
def test_a_draw_lies_in_the_slowly_computed_top_k_and_nucleus(logits, top_k, top_p, seed):
    logits_V = torch.tensor(logits)
    gumbel = SeededGumbel([Sampling(1.0, top_p, top_k, seed)], [])
    drawn = int(gumbel(torch.zeros(1, 1, dtype=torch.long), logits_V[None]).argmax())
    cut = sorted(logits_V.tolist(), reverse=True)[: min(top_k, len(logits))][-1]
    probs = torch.softmax(logits_V.masked_fill(logits_V < cut, -torch.inf).double(), -1)
    more_likely = float(probs[logits_V > logits_V[drawn]].sum())
    assert logits_V[drawn] >= cut
    assert more_likely <= top_p + 1e-6


def test_greedy_is_the_argmax_of_what_is_not_banned():
    assert set(draws(LOGITS_V, 5, temperature=0.0).tolist()) == {3}
    assert set(draws(LOGITS_V, 5, temperature=0.0, banned=[3]).tolist()) == {0}


def test_log_probs_are_those_of_the_raw_logits():
    gumbel = SeededGumbel([Sampling(0.5, top_k=2, seed=seed) for seed in range(20)], [3])
    drawn = gumbel(torch.zeros(20, 1, dtype=torch.long), LOGITS_V.repeat(20, 1)).argmax(-1)
    torch.testing.assert_close(gumbel.log_probs[0], torch.log_softmax(LOGITS_V, -1)[drawn])


def test_verls_parameters_are_read():
    params = {"temperature": 0.7, "top_p": 0.9, "top_k": 5, "seed": 3, "repetition_penalty": 1.0, "logprobs": True}
    assert Sampling.from_params(params) == Sampling(0.7, 0.9, 5, 3)
    assert Sampling.from_params({"temperature": 0}).temperature == 0


def test_what_cannot_be_drawn_is_refused_by_name(subtests):
    for params, named in [
        ({"temperature": 1.0}, "seed"),
        ({"seed": 1, "repetition_penalty": 1.1}, "repetition_penalty=1.1"),
        ({"seed": 1, "temperature": -1}, "temperature=-1"),
        ({"seed": 1, "temperature": float("nan")}, "temperature=nan"),
        ({"seed": 1, "top_p": 0}, "top_p=0"),
        ({"seed": 1, "top_k": -2}, "top_k=-2"),
    ]:
        with subtests.test(params=params), pytest.raises(ValueError, match=named):
            Sampling.from_params(params)
