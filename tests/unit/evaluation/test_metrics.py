import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from easyr1_fgrpo.evaluation.metrics import compare, load_result, measure
from easyr1_fgrpo.evaluation.results import Inputs, Mode, Outcome, Result
from easyr1_fgrpo.judges.protocol import Label
from easyr1_fgrpo.statistics import Estimate

NOTHING = Estimate(value=None, low=None, high=None, n=0)


def item(index=0, **values):
    values.setdefault("semantic_reason", "NO_CLAIM" if values.get("semantic_grounding") is None else "NONE")
    defaults = {
        "split": "test",
        "accurate": True,
        "well_formed": True,
        "truncated": False,
        "tokens": 10,
        "parsable": True,
        "consistency": Label.YES,
        "semantic_grounding": None,
        "spatial_grounding": None,
    }
    return Outcome(index=index, **defaults | values)


def result(name, items, **inputs):
    defaults = {
        "checkpoint_sha256": name,
        "data_sha256": "d",
        "mode": Mode.GREEDY,
        "samples": len(items),
        "seed": 0,
        "max_new_tokens": 8,
        "judge": "j",
        "judge_options": {},
    }
    return Result(
        name=name,
        checkpoint=name,
        data="test.parquet",
        inputs=Inputs(**defaults | inputs),
        seconds=1.0,
        metrics=measure(items),
        items=items,
    )


def test_the_inconsistency_rate_counts_what_was_judged_and_bounds_the_rest():
    items = [
        *[item(consistency=Label.YES, accurate=False)] * 5,
        item(consistency=Label.NO),
        item(consistency=Label.UNCERTAIN, accurate=False),
        *[item(consistency=None, parsable=False)] * 2,
        item(consistency=None),
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
        item(semantic_grounding=1.0, spatial_grounding=0.5, accurate=False),
        item(semantic_grounding=0.5),
        item(semantic_reason="NO_CLAIM"),
        item(semantic_reason="JUDGE_DEADLINE"),
        item(semantic_reason="UNPARSABLE", parsable=False),
    ]
    metrics = measure(items)
    assert (metrics["semantic_grounding"].value, metrics["semantic_grounding"].n) == (0.75, 2)
    assert metrics["no_claim"].value == metrics["grounding_unjudged"].value == 1 / 5
    assert (metrics["spatial_grounding"].value, metrics["spatial_grounding"].n) == (0.5, 1)


def test_faithful_accuracy_asks_for_all_three():
    true, false = {"semantic_grounding": 1.0}, {"semantic_grounding": 0.9}
    items = [
        item(**true),  # the only one
        item(**true, accurate=False),
        item(**true, consistency=Label.NO),
        item(**true, consistency=Label.UNCERTAIN),
        item(**false),
        item(**false, consistency=None),  # a false sentence decides, whatever the other verdict would be
        item(semantic_reason="NO_CLAIM"),  # shows nothing
        item(parsable=False, consistency=None, semantic_reason="UNPARSABLE"),
    ]
    unknown = [
        item(**true, consistency=None),
        item(semantic_reason="JUDGE_DEADLINE"),
        item(consistency=None, semantic_reason="JUDGE_UNREACHABLE"),
    ]
    assert [each.faithful for each in items] == [True] + [False] * 7
    assert [each.faithful for each in unknown] == [None] * 3
    found = measure(items + unknown)["faithful_accuracy"]
    assert (found.value, found.n) == (1 / 8, 8)


def test_a_file_that_knew_fewer_metrics_has_all_of_them_when_read(tmp_path):
    now = result("a", [item(n, semantic_grounding=n / 2) for n in range(3)])
    then = now.model_copy(update={"metrics": {"accuracy": now.metrics["accuracy"]}})
    then.save(tmp_path)
    assert load_result(Result.path(tmp_path, "a", Mode.GREEDY)) == now


def test_format_truncation_and_length():
    metrics = measure([item(well_formed=False, truncated=True, tokens=30), item(tokens=10)])
    assert metrics["format"].value == metrics["truncated"].value == 0.5
    assert metrics["response_tokens"].value == 20


def test_an_evaluation_of_nothing_measures_nothing():
    assert set(measure([]).values()) == {NOTHING}


outcomes = st.tuples(st.booleans(), st.sampled_from([None, *(Label.YES, Label.NO, Label.UNCERTAIN)]))


@settings(max_examples=40)
@given(st.lists(outcomes, min_size=1, max_size=30))
def test_the_rate_lies_within_its_bounds(drawn):
    items = [item(parsable=parsable, consistency=label if parsable else None) for parsable, label in drawn]
    metrics = measure(items)
    low, high = metrics["inconsistency_at_least"].value, metrics["inconsistency_at_most"].value
    assert high - low == pytest.approx(metrics["unparsable"].value + metrics["unjudged"].value)
    rate = metrics["inconsistency"].value
    assert (rate is None) == (high - low == 1)
    assert rate is None or low <= rate <= high


# ---------------------------------------------------------------------- comparing


def test_results_are_compared_question_by_question():
    first = [item(n, accurate=n < 10, consistency=Label.NO if n < 8 else Label.YES, tokens=20) for n in range(20)]
    second = [item(n, accurate=n < 15, consistency=None if n < 2 else Label.YES, tokens=20 + n % 2) for n in range(20)]
    differences = compare(result("a", first), result("b", second[::-1]))
    assert (differences["accuracy"].value, differences["accuracy"].n) == (5 / 20, 20)
    # questions 2 to 19 are judged in both: 6 of the first are inconsistent, none of the second
    assert (differences["inconsistency"].value, differences["inconsistency"].n) == (-6 / 18, 18)
    assert differences["inconsistency"].high < 0
    assert differences["semantic_grounding"] == NOTHING
    assert differences["response_tokens"].value == 0.5


def test_only_common_questions_are_compared():
    a, b = result("a", [item(0, accurate=False), item(1)]), result("b", [item(1), item(2, accurate=False)])
    assert compare(a, b)["accuracy"] == Estimate(value=0.0, low=None, high=None, n=1)
    with pytest.raises(ValueError, match="no question in common"):
        compare(a, result("c", [item(7)]))


@pytest.mark.parametrize("change", [{"data_sha256": "e"}, {"mode": Mode.SAMPLED}, {"judge": "k"}])
def test_what_was_measured_differently_is_not_compared(change):
    with pytest.raises(ValueError, match=f"{next(iter(change))}.*cannot be compared"):
        compare(result("a", [item()]), result("b", [item()], **change))
