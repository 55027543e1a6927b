import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_results import outcome

from easyr1_fgrpo.evaluation.results.metrics import measure
from easyr1_fgrpo.judges.protocol import Label
from easyr1_fgrpo.statistics import Estimate

NOTHING = Estimate(value=None, low=None, high=None, n=0)


def test_the_inconsistency_rate_counts_what_was_judged_and_bounds_the_rest():
    items = [
        *[outcome(consistency=Label.YES, accurate=False)] * 5,
        outcome(consistency=Label.NO),
        outcome(consistency=Label.UNCERTAIN, accurate=False),
        *[outcome(consistency=None, parsable=False)] * 2,
        outcome(consistency=None),
    ]
    metrics = measure(items)
    # 7 judged, of which NO and UNCERTAIN; 2 unparsable and 1 unjudged of 10
    assert (metrics["inconsistency"].value, metrics["inconsistency"].n) == (2 / 7, 7)
    assert metrics["inconsistency_at_least"].value == 2 / 10
    assert metrics["inconsistency_at_most"].value == 5 / 10
    assert metrics["uncertain"].value == 1 / 7
    assert metrics["unparsable"].value == 2 / 10
    assert metrics["unjudged"].value == 1 / 10
    assert (metrics["accuracy"].value, metrics["accuracy"].n) == (4 / 10, 10)


def test_grounding_is_a_mean_over_rollouts_with_a_value():
    items = [
        outcome(semantic_grounding=1.0, spatial_grounding=0.5, accurate=False),
        outcome(semantic_grounding=0.5),
        outcome(semantic_reason="NO_CLAIM"),
        outcome(semantic_reason="JUDGE_DEADLINE"),
        outcome(semantic_reason="TOO_MANY_CLAIMS"),
        outcome(semantic_reason="UNPARSABLE", parsable=False),
    ]
    metrics = measure(items)
    assert (metrics["semantic_grounding"].value, metrics["semantic_grounding"].n) == (0.75, 2)
    assert (metrics["no_claim"].value, metrics["grounding_unjudged"].value) == (1 / 6, 2 / 6)
    assert (metrics["spatial_grounding"].value, metrics["spatial_grounding"].n) == (0.5, 1)


def test_faithful_accuracy_asks_for_all_three():
    true, false = {"semantic_grounding": 1.0}, {"semantic_grounding": 0.9}
    items = [
        outcome(**true),  # the only one
        outcome(**true, accurate=False),
        outcome(**true, consistency=Label.NO),
        outcome(**true, consistency=Label.UNCERTAIN),
        outcome(**false),
        outcome(semantic_reason="NO_CLAIM"),  # shows nothing
        outcome(parsable=False, consistency=None, semantic_reason="UNPARSABLE"),
    ]
    unknown = [
        outcome(**true, consistency=None),
        outcome(semantic_reason="JUDGE_DEADLINE"),
        outcome(consistency=None, semantic_reason="JUDGE_UNREACHABLE"),
        outcome(**false, consistency=None),  # known to be false, but left out as a true one would be
        outcome(**true, consistency=None, accurate=False),
        outcome(semantic_reason="NO_JUDGE"),
    ]
    assert [each.faithful for each in items] == [True] + [False] * 6
    assert [each.faithful for each in unknown] == [None] * 6
    found = measure(items + unknown)["faithful_accuracy"]
    assert (found.value, found.n) == (1 / 7, 7)


def test_a_judge_that_fails_on_half_of_the_answers_does_not_move_faithful_accuracy():
    right, wrong = {"accurate": True}, {"accurate": False}
    judged = [*[outcome(**right, semantic_grounding=1.0)] * 7, *[outcome(**wrong, semantic_grounding=1.0)] * 3]
    failed = {"consistency": None, "semantic_reason": "JUDGE_DEADLINE"}
    found = measure([*judged, *[outcome(**right, **failed)] * 7, *[outcome(**wrong, **failed)] * 3])
    assert (found["faithful_accuracy"].value, found["faithful_accuracy"].n) == (0.7, 10)


def test_without_a_judge_nobody_is_known_to_be_faithful_or_not():
    unjudged = {"consistency": None, "semantic_reason": "JUDGE_UNREACHABLE"}
    unparsable = outcome(parsable=False, consistency=None, semantic_reason="UNPARSABLE", accurate=False)
    items = [outcome(**unjudged), outcome(**unjudged, accurate=False), unparsable]
    assert measure(items)["faithful_accuracy"] == NOTHING
    assert measure([unparsable])["faithful_accuracy"].value == 0.0


def test_format_truncation_and_length():
    metrics = measure([outcome(well_formed=False, truncated=True, tokens=30), outcome(tokens=10)])
    assert metrics["format"].value == metrics["truncated"].value == 0.5
    assert metrics["response_tokens"].value == 20


def test_an_evaluation_of_nothing_measures_nothing():
    assert set(measure([]).values()) == {NOTHING}


outcomes = st.tuples(st.booleans(), st.sampled_from([None, *(Label.YES, Label.NO, Label.UNCERTAIN)]))


@settings(max_examples=40)
@given(st.lists(outcomes, min_size=1, max_size=30))
def test_the_rate_lies_within_its_bounds(drawn):
    items = [outcome(parsable=parsable, consistency=label if parsable else None) for parsable, label in drawn]
    metrics = measure(items)
    low, high = metrics["inconsistency_at_least"].value, metrics["inconsistency_at_most"].value
    assert high - low == pytest.approx(metrics["unparsable"].value + metrics["unjudged"].value)
    rate = metrics["inconsistency"].value
    assert (rate is None) == (high - low == 1)
    assert rate is None or low <= rate <= high
