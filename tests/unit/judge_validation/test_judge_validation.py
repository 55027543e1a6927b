import random

import pytest
from judge_traces import (
    AllAtOnceJudge,
    Approving,
    Failing,
    MeetingJudge,
    RaisingJudge,
    RecordingJudge,
    Rejecting,
    SilentJudge,
    WrongAtTimes,
    both,
    record,
    verdict,
)

from easyr1_fgrpo.config.schema import RewardSettings
from easyr1_fgrpo.judge_validation.asking import UNDER_WAY
from easyr1_fgrpo.judge_validation.questions import Images, questions_of, read_records
from easyr1_fgrpo.judge_validation.report import NO_VERDICT
from easyr1_fgrpo.judge_validation.run import Options, validate
from easyr1_fgrpo.judges.protocol import Failure, Question
from easyr1_fgrpo.miniature.oracle import OracleJudge
from easyr1_fgrpo.rewards import Sample, score_rollout
from easyr1_fgrpo.traces import TraceWriter

DEADLINE_S = 30.0


async def measured(traces, judge, **options):
    return await validate(both(judge), Options([traces], **options), DEADLINE_S)


def by_kind(report):
    return {item.question: item for item in report.agreements}


def by_name(report):
    return {item.name: item for item in report.planted}


def check_counts(report):
    for item in report.agreements:
        assert item.questions == item.judged + item.unjudged + sum(item.left_out.values())
        assert sum(item.failures.values()) == item.unjudged
        assert sum(sum(row.values()) for row in item.confusion.values()) == item.judged + item.unjudged
    for item in report.planted:
        assert item.made == item.caught.n + item.unjudged
        assert item.candidates == item.made + item.unsuitable + item.spared


async def test_a_perfect_judge(miniature):
    traces, scenes = miniature
    report = await measured(traces, OracleJudge(scenes))
    check_counts(report)
    for item in report.agreements:
        assert item.kappa.value == item.agreement.value == 1.0
        assert item.retest.flips.value == 0.0
        assert item.references == {"oracle": item.judged}
    kinds = by_name(report)
    for name in ("answer swapped", "object renamed", "colour changed", "box moved", "from another image"):
        assert kinds[name].made >= 100
    for name in ("left/right flipped", "above/below flipped", "nearer/farther flipped"):
        assert kinds[name].made >= 20
    assert kinds["attribute changed"].made == 0
    assert kinds["attribute changed"].line == "not measured: attribute changed (made 0, judged none)"
    for name, kind in kinds.items():
        if kind.made:
            assert kind.originals_right.value == 1.0
            assert kind.caught.value >= 0.9, name
            assert kind.line.startswith(f"catches: {name} (caught ")
    assert report.objections(min_kappa=0.9) == []


async def test_a_known_error_rate_is_recovered(miniature):
    (traces, scenes), rate = miniature, 0.15
    report = await measured(traces, WrongAtTimes(scenes, rate))
    check_counts(report)
    for item in report.agreements:
        assert item.agreement.low <= 1 - rate <= item.agreement.high
        assert abs(item.agreement.value - (1 - rate)) < 0.06
        # a wrong label is one of the two others: q_j = (1 - rate) p_j + rate/2 (1 - p_j)
        n = sum(sum(row.values()) for row in item.confusion.values())
        reference = [sum(row.values()) / n for label, row in item.confusion.items() if label != NO_VERDICT]
        chance = sum(p * ((1 - rate) * p + rate / 2 * (1 - p)) for p in reference)
        expected = (1 - rate - chance) / (1 - chance)
        assert item.kappa.low <= expected <= item.kappa.high
        assert item.retest.flips.value == 0.0


async def test_a_flaky_judge_flips_as_often_as_it_draws_anew(miniature):
    traces, scenes = miniature
    report = await measured(traces, WrongAtTimes(scenes, 0.2, flaky=True))
    # same label twice: both right, or the same one of two wrong ones
    expected = 1 - (0.8**2 + 2 * 0.1**2)
    for item in report.agreements:
        assert item.retest.flips.low <= expected <= item.retest.flips.high
        assert item.retest.flips.n == item.judged


async def test_a_judge_that_approves_of_everything_misses_everything(miniature):
    report = await measured(miniature[0], Approving(), retest=False)
    for item in report.agreements:
        assert item.kappa.value in (0.0, None)
        assert item.retest is None
    for kind in report.planted:
        if kind.made:
            assert (kind.caught.value, kind.originals_right.value) == (0.0, 1.0)
            assert kind.line == f"misses: {kind.name} (caught 0 of {kind.made})"
    assert len(report.objections(None)) == sum(kind.made >= 20 for kind in report.planted) == 8


async def test_a_judge_that_rejects_everything_is_shown_as_such(miniature):
    report = await measured(miniature[0], Rejecting(), retest=False)
    kind = by_name(report)["box moved"]
    assert kind.line == f"misses: box moved (caught 0 of {kind.made}; called 0 of the {kind.made} originals right)"
    assert len(report.objections(None)) == 8


async def test_missing_verdicts_are_no_labels(miniature):
    report = await measured(miniature[0], Failing())
    check_counts(report)
    for item in report.agreements:
        assert item.unjudged == pytest.approx(2 / 3 * (item.judged + item.unjudged), rel=0.2)
        assert set(item.failures) == {Failure.DEADLINE, Failure.INVALID}
        assert item.agreement.n == item.judged
        assert sum(row[NO_VERDICT] for row in item.confusion.values()) == item.unjudged
        assert item.unjudged_share.value == item.unjudged / (item.judged + item.unjudged)
        assert item.retest.unjudged > 0
    assert any(kind.unjudged for kind in report.planted)


@pytest.mark.parametrize(
    ("judge", "failure", "cause"),
    [
        (RaisingJudge(), Failure.UNREACHABLE, "RuntimeError: broken"),
        (SilentJudge(), Failure.DEADLINE, "no answer within 0.2 s"),
        (AllAtOnceJudge(answers=lambda n: 0), Failure.UNREACHABLE, "TypeError: "),
    ],
)
async def test_a_judge_that_gives_no_label_is_no_agreement(few, judge, failure, cause):
    report = await validate(both(judge), Options([few[0]], retest=False), deadline_s=0.2)
    check_counts(report)
    for item in report.agreements:
        assert (item.judged, item.agreement.value, item.kappa.value) == (0, None, None)
        assert set(item.failures) == {failure}
        assert item.first_cause.startswith(cause)
    assert [line for line in report.objections(None) if "gave no label" in line]


async def test_questions_are_what_training_asked(few):
    records = read_records([few[0]]).chosen
    images = Images([few[0].parent.parent / "images"])
    for asked in records[:4]:
        judge = RecordingJudge()
        picture = images.open(asked.images[0])
        sample = Sample(asked.question, asked.choices, asked.ground_truth, (picture,))
        settings = RewardSettings(judge_scope="all", deadline_s=DEADLINE_S)
        await score_rollout(sample, asked.response, both(judge), settings)
        cases = questions_of([asked], set(Question), images).cases
        again = [case.request((picture,), DEADLINE_S) for case in cases]
        assert sorted(map(text_of, again)) == sorted(map(text_of, judge.requests))


def text_of(request):
    pixels = [image.tobytes() for image in request.images]
    return (request.kind, request.question, request.context, request.claim, request.answer, request.limit_s, pixels)


async def test_a_judge_of_whole_rollouts_gets_them(few):
    judge = AllAtOnceJudge()
    report = await measured(few[0], judge, retest=False)
    check_counts(report)
    claims = [
        [item.text for item in record.sentences if item.verdict is not None] for record in read_records([few[0]]).chosen
    ]
    assert sorted(rollout for rollout in judge.rollouts if len(rollout) > 1) == sorted(claims)
    assert judge.requests == []


async def test_so_many_are_under_way_and_no_more(miniature):
    judge = MeetingJudge(UNDER_WAY)
    report = await measured(miniature[0], judge, retest=False)
    assert judge.most == UNDER_WAY
    assert sum(item.unjudged for item in report.agreements) == 0


async def test_limit_is_a_seeded_choice(miniature):
    reports = [await measured(miniature[0], Approving(), limit=40, seed=seed, retest=False) for seed in (0, 0, 1)]
    assert [report.records_used for report in reports] == [40, 40, 40]
    assert reports[0] == reports[1]
    assert reports[0].agreements != reports[2].agreements


def test_a_choice_is_the_one_from_all_records_in_memory(tmp_path):
    paths = []
    for run in range(3):
        with TraceWriter(tmp_path / str(run), "train") as writer:
            for index in range(20):
                writer.write(record(index=index, response=f"run {run if index % 4 else 0}"))
        paths.append(writer.path)
    everything = read_records(paths)
    assert (everything.read, everything.repeated) == (50, 10)
    some = read_records(paths, limit=12, seed=7)
    numbers = sorted(random.Random(7).sample(range(50), 12))
    assert some.chosen == [everything.chosen[number] for number in numbers]
    assert (some.read, some.repeated, some.damaged) == (50, 10, 0)


async def test_warns_of_one_family(few):
    judge = Approving()
    assert (await measured(few[0], judge, retest=False)).warnings == ()
    (first, second) = (await measured(few[0], judge, retest=False, training_judge="qwen2.5-vl-7b")).warnings
    assert "training judge qwen2.5-vl-7b and evaluation judge Qwen/Qwen3-VL-30B-A3B-Instruct are of one family" in first
    assert (first.split(":")[0], second.split(":")[0]) == ("consistency", "grounding")


# ---------------------------------------------------------------------- records


async def test_what_is_left_out_is_counted_with_its_reason(tmp_path):
    records = [
        record(0),
        record(1, consistency=None),
        record(2, answer=None, consistency=None),
        record(3, images=("absent",)),
        record(4, consistency=verdict(failure=Failure.INVALID)),
    ]
    with TraceWriter(tmp_path, "val") as writer:
        for item in records:
            writer.write(item)
    with writer.path.open("a") as file:
        file.write("torn\n")
    report = await measured(writer.path, Approving())
    check_counts(report)
    kinds = by_kind(report)
    consistency, grounding = kinds[Question.CONSISTENCY], kinds[Question.GROUNDING]
    assert consistency.left_out == {"without a reference verdict": 1, "no trace or no answer": 1}
    assert (consistency.questions, consistency.judged, consistency.agreement.n) == (5, 3, 2)
    assert consistency.confusion[NO_VERDICT]["YES"] == 1
    assert grounding.left_out == {
        "trivial sentence": 5,
        "without a reference verdict": 4,
        "image missing or damaged": 3,
    }
    assert (grounding.questions, grounding.judged, grounding.agreement.n) == (20, 8, 4)
    assert grounding.references == {"human": 8}
    assert report.damaged_lines == 1


async def test_one_judge_alone(few):
    report = await validate({Question.CONSISTENCY: Approving()}, Options([few[0]], retest=False), DEADLINE_S)
    (item,) = report.agreements
    assert item.question is Question.CONSISTENCY
    assert item.judged == 12
    assert by_name(report)["box moved"].candidates == 0


def test_checkpoints_on_the_same_questions_stay_apart_and_copies_count_once(tmp_path):
    for name, items in (("a", [record(0), record(1)]), ("b", [record(0, response="other"), record(1)])):
        with TraceWriter(tmp_path, name) as writer:
            for item in items:
                writer.write(item)
    read = read_records(sorted((tmp_path / "traces").iterdir()))
    assert (read.read, read.repeated, read.damaged) == (3, 1, 0)


async def test_a_damaged_image_is_left_out_and_one_that_vanishes_is_unjudged(tmp_path, few):
    traces = few[0]
    images = tmp_path / "images"
    images.mkdir()
    found = sorted((traces.parent.parent / "images").iterdir())
    for path in found[:-1]:
        (images / path.name).write_bytes(path.read_bytes())
    (images / found[-1].name).write_bytes(b"no image")
    (images / found[0].name).write_bytes(found[0].read_bytes()[:200])  # a whole header, half the pixels
    report = await measured(traces, Approving(), images=images, retest=False)
    grounding = by_kind(report)[Question.GROUNDING]
    assert grounding.left_out["image missing or damaged"] == 4
    assert grounding.failures == {Failure.UNREACHABLE: 4}
    assert "OSError" in grounding.first_cause
