import asyncio
import base64
import csv
import json
from dataclasses import replace

import pytest
from judge_traces import RecordingJudge, write_run
from openpyxl import Workbook
from PIL import Image

from easyr1_fgrpo.evaluation.audit import Audit, audit
from easyr1_fgrpo.evaluation.result_files import theirs
from easyr1_fgrpo.evaluation.styles import STYLES
from easyr1_fgrpo.evaluation.tables.benchmarks import tables
from easyr1_fgrpo.judges.protocol import Question
from easyr1_fgrpo.pictures import wire_png as png
from easyr1_fgrpo.traces import read_traces

from .judges import TextJudge
from .made_items import UNJUDGED, judged_by, picture, response


@pytest.fixture
def job(tmp_path):
    (tmp_path / "pictures").mkdir()
    picture(3).save(tmp_path / "pictures" / "a.png")
    picture(4).save(tmp_path / "outside.png")
    return Audit(tmp_path / "traces.jsonl", "theirs", STYLES["ours"], tmp_path / "pictures", tmp_path / "out")


def line(**changes):
    values = {"question": "Left?", "response": response(), "ground_truth": "left", "images": ["a.png"]}
    return {name: value for name, value in (values | changes).items() if value is not ...}


def write(job, *values):
    job.traces.write_text("".join((v if isinstance(v, str) else json.dumps(v)) + "\n" for v in values))


async def test_bad_lines_are_named_and_the_rest_is_scored(job):
    write(
        job,
        line(id="good"),
        "{torn",
        "[]",
        line(question=...),
        line(ground_truth=" "),
        line(images=[]),
        line(images=["absent.png"]),
        line(images=["../outside.png"]),
        line(choices=["up", "down"]),
        line(response=""),
        line(response=7),
        line(boxes=[[1, 2]]),
    )
    evaluation, rejects = await audit(job, UNJUDGED)
    reasons = {reject.row: reject.reason for reject in rejects}
    assert [o.item for o in evaluation.results[0].outcomes] == ["good", "line 10", "line 11"]
    said = {
        "line 2": "no JSON object",
        "line 3": "no field question",
        "line 4": "no field question: name yours by --field question=THEIRS",
        "line 5": "ground_truth: is blank",
        "line 6": "no image",
        "line 7": "'absent.png' is not in",
        "line 8": "'../outside.png' is not in",
        "line 9": "none of the choices",
        "line 12": "boxes",
    }
    assert reasons.keys() == said.keys()
    assert all(part in reasons[row] for row, part in said.items())
    assert evaluation.results[0].totals.rows == 12
    assert len((job.out / "rejects.jsonl").read_text().splitlines()) == 9


async def test_lines_have_the_numbers_that_an_editor_shows(job):
    write(job, "", line(), "  ", line(ground_truth="['red', 'Red']"))
    evaluation, (reject,) = await audit(job, UNJUDGED)
    assert [outcome.item for outcome in evaluation.results[0].outcomes] == ["line 2"]
    assert (reject.row, reject.reason) == ("line 4", "ground_truth holds 2 values: name one, such as ground_truth.0")


async def test_an_empty_reply_is_wrong_and_named(job):
    write(job, line(id="right"), line(id="wrong", response=response("right")), line(id="empty", response=""))
    evaluation, _ = await audit(job, UNJUDGED)
    (result,) = evaluation.results
    assert (result.metrics["accuracy"].value, result.metrics["empty"].value) == (1 / 3, 1 / 3)
    accuracy, quality = tables(evaluation)
    assert "; 1 empty replies count as wrong. " in accuracy.caption
    assert any(row[1] == "  empty replies, wrong" for row in quality.rows)


async def test_a_response_of_too_many_claims_is_unjudged_and_never_a_score(job):
    flood = " ".join(f"The cup {number} is red." for number in range(300))
    write(job, line(id="short"), line(id="flood", response=response(trace=flood)))
    judge = RecordingJudge()
    evaluation, _ = await audit(job, judged_by(judge))
    (result,) = evaluation.results
    assert len([request for request in judge.requests if request.kind is Question.GROUNDING]) == 2
    assert (result.metrics["semantic_grounding"].value, result.metrics["semantic_grounding"].n) == (1.0, 1)
    assert result.metrics["accuracy"].n == 2
    assert result.metrics["grounding_unjudged"].value == 0.5
    records, _ = read_traces(list((job.out / "traces").glob("*.jsonl")))
    flooded = next(record for record in records if record.evaluation.item == "flood")
    assert flooded.signals["semantic_grounding"].reason == "TOO_MANY_CLAIMS"
    assert any(
        "max_claims=256" in (sentence.verdict.cause if sentence.verdict else "") for sentence in flooded.sentences
    )


async def test_fields_of_any_name_and_depth(job):
    write(job, {"in": {"q": "Left?", "img": "a.png"}, "out": response(), "gold": "left", "where": "b-1"})
    names = {"question": "in.q", "images": "in.img", "response": "out", "ground_truth": "gold", "benchmark": "where"}
    evaluation, rejects = await audit(replace(job, names=names), judged_by(TextJudge()))
    assert not rejects
    (result,) = evaluation.results
    assert (result.benchmark, result.metrics["accuracy"].value) == ("b-1", 1.0)
    assert result.metrics["inconsistency"].n == 1


def vlmevalkit(**changes):
    """A row of a result file of VLMEvalKit: options in columns, the right one by its letter."""
    row = {"index": 7, "question": "Where?", "A": "left", "B": "right", "C": None, "answer": "A", "category": "side"}
    return row | {"prediction": response()} | changes


def lmms_eval(**changes):
    """A line of lmms-eval's samples: options and instruction in the prompt, responses in lists."""
    asked = "Where?\nA. left\nB. right\nAnswer with the option's letter from the given choices directly."
    return {"doc_id": 7, "target": "A", "filtered_resps": [response()], "input": asked, "acc": 1.0} | changes


async def audited(job, traces):
    job = replace(job, traces=traces, names=theirs(traces, {}), out=job.out / traces.name)
    evaluation, rejects = await audit(job, UNJUDGED)
    records, _ = read_traces(list((job.out / "traces").glob("*.jsonl")))
    return evaluation.results[0], rejects, records


async def test_result_files_of_vlmevalkit_are_read_as_they_are(job, tmp_path, subtests):
    picture(5).save(job.images / "7.jpg", quality=95)
    picture(5).save(job.images / "8.png")
    rows = [vlmevalkit(), vlmevalkit(index=8, answer="B"), vlmevalkit(prediction=None)]
    workbook = Workbook()
    workbook.active.append(list(rows[0]))
    for row in rows:
        workbook.active.append(list(row.values()))
    workbook.save(tmp_path / "a.xlsx")
    for name, separator in (("a.tsv", "\t"), ("a.csv", ",")):
        with (tmp_path / name).open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter=separator)
            writer.writeheader()
            writer.writerows(rows)
    (tmp_path / "a.json").write_text(json.dumps(rows))
    for file in ("a.xlsx", "a.tsv", "a.csv", "a.json"):
        with subtests.test(file):
            result, rejects, records = await audited(job, tmp_path / file)
            assert rejects == []
            assert [(o.item, o.accurate, o.empty, o.category) for o in result.outcomes] == [
                ("7", True, False, "side"),
                ("8", False, False, "side"),
                ("7 #2", False, True, "side"),  # the same index once more, and a model that said nothing
            ]
            assert result.metrics["accuracy"].value == 1 / 3
            assert {(record.question, record.choices) for record in records} == {("Where?", ("left", "right"))}


async def test_a_hint_of_vlmevalkit_is_part_of_the_question(job, tmp_path):
    picture(5).save(job.images / "7.jpg", quality=95)
    rows = [vlmevalkit(hint="The picture is mirrored."), vlmevalkit(hint=None)]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    _, rejects, records = await audited(job, tmp_path / "a.json")
    assert rejects == []
    assert sorted(record.question for record in records) == ["Hint: The picture is mirrored.\nWhere?", "Where?"]


async def test_samples_of_lmms_eval_are_read_as_they_are(job, tmp_path, subtests):
    picture(5).save(job.images / "7.jpg", quality=95)
    samples = [lmms_eval(), lmms_eval(target="(B)"), lmms_eval(resps=[[response()]], filtered_resps=["A"])]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    (tmp_path / "a.json").write_text(json.dumps({"args": {}, "logs": samples, "time": "now"}))
    for file in ("a.jsonl", "a.json"):
        with subtests.test(file):
            result, rejects, records = await audited(job, tmp_path / file)
            assert rejects == []
            assert [(o.item, o.accurate) for o in result.outcomes] == [("7", True), ("7 #2", False), ("7 #3", True)]
            assert {record.choices for record in records} == {("left", "right")}
            assert all(record.question.startswith("Where?") for record in records)


async def test_options_keep_their_letters_or_the_line_is_refused(job, tmp_path):
    nan = float("nan")
    good = [
        {"B": "right", "A": "left"},
        ["(A) left", "(B) right"],
        ["left", "right", None],
        '{"A": "left", "B": "right"}',
    ]
    bad = [{"A": "left", "C": "right"}, ["B. right", "A. left"], ["A. left", "C. up"], ["left", nan, "up"], None]
    write(job, *(line(choices=choices, ground_truth="A") for choices in [*good, *bad]), line(ground_truth=nan))
    evaluation, rejects = await audit(job, UNJUDGED)
    assert [outcome.accurate for outcome in evaluation.results[0].outcomes] == [True] * len(good)
    disorder = ["option B is blank", "not A, B", "not A, B", "option B is blank"]
    said = [*disorder, "a letter without options", "ground_truth: is blank"]
    assert len(rejects) == len(said)
    by_row = sorted(rejects, key=lambda reject: int(reject.row.split()[1]))
    assert all(part in reject.reason for part, reject in zip(said, by_row, strict=True)), by_row


async def test_options_of_lmms_eval_are_in_the_document_or_in_the_prompt(job, tmp_path, subtests):
    picture(5).save(job.images / "7.jpg")
    docs = {
        "columns": {"question": "Where?", "A": "left", "B": "right", "C": None},
        "choice_a": {"question": "Where?", "choice_a": "left", "choice_b": "right"},
        "prompt": {"question": "Where?"},
    }
    for name, doc in docs.items():
        with subtests.test(name):
            (tmp_path / "a.jsonl").write_text(json.dumps(lmms_eval(doc=doc)) + "\n")
            result, rejects, (record,) = await audited(replace(job, out=job.out / name), tmp_path / "a.jsonl")
            assert (rejects, record.question, record.choices) == ([], "Where?", ("left", "right"))
            assert result.metrics["accuracy"].value == 1.0
    (tmp_path / "a.jsonl").write_text(json.dumps(lmms_eval(doc={"question": "Where?"}, input="Where?")) + "\n")
    _, (reject,), _ = await audited(replace(job, out=job.out / "none"), tmp_path / "a.jsonl")
    assert "a letter without options" in reject.reason


async def test_options_in_one_cell(job):
    cells = ["left | right", "A. left\nB. right", "(A) left (B) right", "left\nright", "['left', 'right']"]
    write(job, *(line(choices=cell, ground_truth="A") for cell in cells), line(choices="[2, 3]", ground_truth=2))
    evaluation, rejects = await audit(job, UNJUDGED)
    assert rejects == []
    assert [outcome.accurate for outcome in evaluation.results[0].outcomes] == [True] * len(cells) + [False]


async def test_a_letter_that_is_the_text_of_another_option_is_refused(job):
    write(job, line(choices=["B", "A", "C"], ground_truth="A"), line(choices=["B", "A", "C"], ground_truth="C"))
    evaluation, (reject,) = await audit(job, UNJUDGED)
    assert reject.reason == "ground_truth 'A' is the letter of an option and the text of another"
    assert evaluation.results[0].totals.scored == 1


async def test_several_responses_want_one_to_be_named(job, tmp_path):
    picture(5).save(job.images / "7.jpg")
    (tmp_path / "a.jsonl").write_text(json.dumps(lmms_eval(resps=[[response(), response("right")]])) + "\n")
    _, (reject,), _ = await audited(job, tmp_path / "a.jsonl")
    assert reject.reason == "resps holds 2 values: name one, such as resps.0"
    named = theirs(tmp_path / "a.jsonl", {"response": "resps.0.1"})
    evaluation, rejects = await audit(replace(job, traces=tmp_path / "a.jsonl", names=named), UNJUDGED)
    assert (rejects, evaluation.results[0].metrics["accuracy"].value) == ([], 0.0)


async def test_a_picture_may_be_in_the_record(job):
    file = base64.b64encode(png(Image.effect_noise((84, 84), 60))).decode()
    wrong = line(images="data:image/png;base64,?")
    write(job, line(images=[f"data:image/png;base64,{file}"]), line(images=file), wrong)
    evaluation, (reject,) = await audit(job, UNJUDGED)
    assert evaluation.results[0].totals.scored == 2
    assert "no picture in base64" in reject.reason


async def test_benchmarks_are_told_apart(job):
    write(job, line(benchmark="x", id="1"), line(id="2"), line(benchmark="y", id="1"), "no line")
    evaluation, rejects = await audit(job, UNJUDGED)
    items = {result.benchmark: [o.item for o in result.outcomes] for result in evaluation.results}
    assert items == {"x": ["1", "2"], "y": ["1"]}
    assert [(reject.benchmark, reject.row) for reject in rejects] == [("x", "line 4")]


def test_our_own_traces_are_judged_as_training_judged_them(tmp_path):
    traces, _ = write_run(tmp_path / "run", 12)
    judge = RecordingJudge()
    job = Audit(traces, "ours", STYLES["ours"], tmp_path / "run" / "images", tmp_path / "out", {"id": "index"})
    evaluation, rejects = asyncio.run(audit(job, judged_by(judge)))
    assert not rejects
    records, _ = read_traces([traces])
    (result,) = evaluation.results
    assert [o.accurate for o in result.outcomes] == [r.signals["accuracy"].value == 1.0 for r in records]
    asked = {(r.kind, r.question, r.context, r.claim, r.answer) for r in judge.requests}
    claims = sum(not s.trivial for r in records for s in r.sentences)
    assert len(judge.requests) == claims + len(records)
    for record in records:
        question = f"{record.question}\nA. {record.choices[0]}\nB. {record.choices[1]}"
        assert (Question.CONSISTENCY, question, record.trace, "", record.answer) in asked


async def test_the_same_audit_again_asks_nobody(job):
    write(job, line(id="1"), line(id="2"))
    first = await audit(job, judged_by(RecordingJudge()))
    judge = RecordingJudge()
    assert await audit(job, judged_by(judge)) == first
    assert not judge.requests
    write(job, line(id="1"), line(id="2", response=response("right")))
    await audit(job, judged_by(judge))
    assert {request.answer for request in judge.requests if request.answer} == {"right"}


async def test_an_empty_file_is_an_error(job):
    write(job)
    with pytest.raises(ValueError, match=r"traces\.jsonl: no traces in it"):
        await audit(job, UNJUDGED)
    write(job, line(benchmark="../up"))
    with pytest.raises(ValueError, match=r"benchmark '\.\./up'"):
        await audit(job, UNJUDGED)
