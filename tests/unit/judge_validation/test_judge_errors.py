"""How often a judge errs on each side, what is said of it, and the line that is to be typed."""

import re
import shlex

import pytest
from judge_traces import Approving, verdict
from omegaconf import OmegaConf

from easyr1_fgrpo.config.judge_error import JudgeErrorSettings
from easyr1_fgrpo.config.load import load_config, read_settings
from easyr1_fgrpo.judge_validation.errors import Errors
from easyr1_fgrpo.judge_validation.measure import Answers, measure_agreement
from easyr1_fgrpo.judge_validation.questions import Case
from easyr1_fgrpo.judge_validation.run import Options, validate
from easyr1_fgrpo.judges.protocol import Failure, Label, Question, Verdict
from easyr1_fgrpo.miniature.oracle import OracleJudge
from easyr1_fgrpo.statistics import Estimate

YES, NO, UNCERTAIN = Label.YES, Label.NO, Label.UNCERTAIN
CORRECT, INCORRECT, SKIP = Label.CORRECT, Label.INCORRECT, Label.SKIP


def errors_of(kind, *counted):
    """Of so many questions with a reference label and a judge's."""
    pairs = [(reference, label) for reference, label, n in counted for _ in range(n)]
    cases = [
        Case(kind, number, "", (), "", "", (), verdict(reference) if reference else verdict(failure=Failure.DEADLINE))
        for number, (reference, _) in enumerate(pairs)
    ]
    answers = [Verdict(label, "j") if label else Verdict(None, "j", Failure.INVALID) for _, label in pairs]
    return measure_agreement(kind, "j", cases, Answers(answers, [], None), {}, seed=0).errors


def test_uncertain_refuses_as_it_does_in_the_signal():
    errors = errors_of(
        Question.CONSISTENCY,
        *((YES, YES, 180), (YES, NO, 12), (YES, UNCERTAIN, 8)),  # 20 of 200 refused
        *((NO, NO, 30), (NO, UNCERTAIN, 5), (NO, YES, 3), (UNCERTAIN, NO, 10), (UNCERTAIN, YES, 2)),  # 5 of 50 approved
        *((YES, None, 40), (None, YES, 40), (NO, None, 40)),  # no verdict, no error
    )
    assert (errors.false_negative.value, errors.false_negative.n) == (0.1, 200)
    assert (errors.false_positive.value, errors.false_positive.n) == (0.1, 50)
    assert errors.false_negative.low < 0.1 < errors.false_negative.high


def test_what_either_skips_is_in_no_error():
    errors = errors_of(
        Question.GROUNDING,
        *((CORRECT, CORRECT, 98), (CORRECT, INCORRECT, 2), (INCORRECT, INCORRECT, 15), (INCORRECT, CORRECT, 5)),
        *((CORRECT, SKIP, 30), (INCORRECT, SKIP, 30), (SKIP, CORRECT, 30), (SKIP, INCORRECT, 30), (SKIP, SKIP, 30)),
    )
    assert (errors.false_negative.value, errors.false_negative.n) == (0.02, 100)
    assert (errors.false_positive.value, errors.false_positive.n) == (0.25, 20)


def errors(kind, refused, approved, n=(200, 40)):
    refused, approved = (
        Estimate(value=value, low=None, high=None, n=of) for value, of in zip((refused, approved), n, strict=True)
    )
    return Errors(question=kind, false_negative=refused, false_positive=approved)


@pytest.mark.parametrize(
    ("kind", "constraint"), [(Question.CONSISTENCY, "consistency"), (Question.GROUNDING, "semantic_grounding")]
)
def test_the_line_to_type_is_read_by_shell_hydra_and_easyr1(kind, constraint):
    said, line = errors(kind, 0.08, 1 / 30).lines
    assert said == (
        f"{kind}: perfect traces measure 0.920, a higher threshold is out of reach; to ask for a true rate, type"
    )
    assert line == f"  'fgrpo.constraints.{constraint}.judge_error={{false_negative: 0.08, false_positive: 0.033}}'"
    (typed,) = shlex.split(line)
    wanted = JudgeErrorSettings(false_negative=0.08, false_positive=0.033)
    assert read_settings(load_config([typed])).constraints[constraint].judge_error == wanted
    read = OmegaConf.from_dotlist([typed]).fgrpo.constraints[constraint].judge_error
    assert JudgeErrorSettings.model_validate(OmegaConf.to_container(read)) == wanted


def test_a_side_without_an_error_is_a_number_too():
    typed = errors(Question.CONSISTENCY, 0.08, 0.0).lines[1].strip(" '")
    assert typed.endswith("={false_negative: 0.08, false_positive: 0}")
    assert errors(Question.CONSISTENCY, 0.0, 0.1).lines[0] == (
        "consistency: nothing true is refused; to ask for a true rate, type"
    )
    found = read_settings(load_config([typed])).constraints["consistency"]
    assert found.measured_threshold == pytest.approx(0.95 * 0.92)


@pytest.mark.parametrize(
    ("refused", "approved", "n", "said"),
    [
        (0.0, 0.0, (150, 50), "consistency: no error in 200 verdicts"),
        (
            0.1,
            0.1,
            (99, 40),
            "consistency: false negatives cannot be told from 99 verdicts on what the reference approves, 100 needed: "
            "give more traces",
        ),
        (
            0.1,
            None,
            (100, 0),
            "consistency: perfect traces measure 0.900, a higher threshold is out of reach; false positives cannot be "
            "told from 0 verdicts on what the reference does not approve, 20 needed: give more traces",
        ),
        (
            0.0,
            1.0,
            (100, 20),
            "consistency: the judge refuses 0.0% of what it should approve and approves 100.0% of what it should "
            "refuse: it tells next to nothing, take another one",
        ),
    ],
)
def test_what_cannot_be_told_or_used_has_no_line_to_type(refused, approved, n, said):
    assert errors(Question.CONSISTENCY, refused, approved, n).lines == [said]


async def test_known_errors_are_recovered_from_traces(miniature):
    traces, scenes = miniature
    for sides, rates in (("both", (0.15, 0.15)), ("false_negatives", (0.15, 0.0)), ("false_positives", (0.0, 0.15))):
        judge = OracleJudge(scenes, error_rate=0.15, errors=sides)
        report = await validate(dict.fromkeys(Question, judge), Options([traces], retest=False), 30.0)
        for item in report.agreements:
            for found, rate in zip((item.errors.false_negative, item.errors.false_positive), rates, strict=True):
                if rate == 0.0:
                    assert (found.value, found.low) == (0.0, None), (sides, item.question)
                elif found.n >= 100:
                    assert found.low <= rate <= found.high, (sides, item.question)


async def test_a_judge_that_approves_everything_is_none(miniature):
    report = await validate(dict.fromkeys(Question, Approving()), Options([miniature[0]], retest=False), 30.0)
    for item in report.agreements:
        assert item.errors.false_negative.value == 0.0
        assert item.errors.false_positive.value == 1.0
        (line,) = item.errors.lines
        assert re.search("cannot be told|it tells next to nothing, take another one", line)
