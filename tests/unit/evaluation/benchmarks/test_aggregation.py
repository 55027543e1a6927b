from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from easyr1_fgrpo.evaluation.benchmarks import BENCHMARKS


@dataclass(frozen=True)
class Meta:
    id: str
    category: str = ""
    group: str = ""


def metas(text):
    """ "a1:g a2:g": ids and groups."""
    return [Meta(*part.split(":")[:1], group=part.partition(":")[2]) for part in text.split()]


def scored(right, wrong=""):
    return dict.fromkeys(right.split(), 1.0) | dict.fromkeys(wrong.split(), 0.0)


def test_mmvp_authors_count_pairs_the_paper_counts_questions():
    items = metas("1:1 2:1 3:2 4:2")
    numbers = BENCHMARKS["mmvp"].aggregate(scored("1 2 3", "4"), items)
    assert numbers == {"authors": 0.5, "paper": 0.75}


def test_a_pair_that_was_not_measured_as_a_whole_is_left_out():
    items = metas("1:1 2:1 3:2 4:2")
    assert BENCHMARKS["mmvp"].aggregate(scored("1 2", "3"), items) == {"authors": 1.0, "paper": pytest.approx(2 / 3)}
    assert BENCHMARKS["mmvp"].aggregate(scored("1 3"), items) == {"paper": 1.0}


def test_cv_bench_2d_authors_average_sources():
    items = metas("0:ADE20K 1:ADE20K 2:ADE20K 3:COCO")
    numbers = BENCHMARKS["cv_bench_2d"].aggregate(scored("0 1 2", "3"), items)
    assert numbers == {"authors": 0.5, "paper": 0.75}


def test_cv_bench_3d_has_one_source():
    numbers = BENCHMARKS["cv_bench_3d"].aggregate(scored("0 1 2", "3"), metas("0:Omni3D 1:Omni3D 2:Omni3D 3:Omni3D"))
    assert numbers == {"authors": 0.75, "paper": 0.75}


def test_mindcube_authors_leave_translation_out():
    items = [Meta("0", "among"), Meta("1", "around"), Meta("2", "translation"), Meta("3", "translation")]
    assert BENCHMARKS["mindcube"].aggregate(scored("0 1", "2 3"), items) == {"authors": 1.0, "paper": 0.5}


def test_sat_real_counts_every_order_by_itself():
    items = metas("0-0:0 0-1:0 1-0:1 1-1:1")
    assert BENCHMARKS["sat_real"].aggregate(scored("0-0 0-1 1-0", "1-1"), items) == {"authors": 0.75, "paper": 0.75}


def test_nothing_measured_is_no_number():
    for name in BENCHMARKS:
        assert BENCHMARKS[name].aggregate({}, metas("1:1 2:1")) == {}, name
        assert BENCHMARKS[name].aggregate({}, []) == {}, name


@pytest.mark.parametrize("name", BENCHMARKS)
@settings(max_examples=30)
@given(
    answers=st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from([0.0, 1.0]), min_size=1),
    groups=st.lists(st.sampled_from("123"), min_size=8, max_size=8),
)
def test_the_paper_number_is_the_plain_mean_of_what_was_measured(name, answers, groups):
    items = [Meta(identity, "c", group) for identity, group in zip("abcdefgh", groups, strict=True)]
    numbers = BENCHMARKS[name].aggregate(answers, items)
    assert numbers["paper"] == pytest.approx(sum(answers.values()) / len(answers))
    assert all(0 <= number <= 1 for number in numbers.values())
