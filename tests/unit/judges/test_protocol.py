import pytest

from easyr1_fgrpo.judges.protocol import LABELS, Failure, Label, Question, Verdict


def test_a_verdict_is_a_label_or_a_failure(subtests):
    for label, failure in [(None, None), (Label.YES, Failure.DEADLINE)]:
        with subtests.test(label=label), pytest.raises(ValueError, match="a verdict is a label or a failure"):
            Verdict(label, judge="j", failure=failure)


def test_every_label_answers_exactly_one_question():
    assert set(LABELS) == set(Question)
    assert sorted(label for labels in LABELS.values() for label in labels) == sorted(Label)
