"""Checkpoints that answer in this process, from rows to results."""

import asyncio
import shutil
from dataclasses import replace

import pytest

from easyr1_fgrpo.checkpoints import CheckpointError
from easyr1_fgrpo.evaluation.answers.in_process import InProcess
from easyr1_fgrpo.evaluation.answers.models import ModelSpec
from easyr1_fgrpo.evaluation.answers.pictures import prepare
from easyr1_fgrpo.evaluation.benchmarks import RowFile, Source
from easyr1_fgrpo.evaluation.evaluate import evaluate
from easyr1_fgrpo.evaluation.mode import Mode, question_seed
from easyr1_fgrpo.evaluation.plan import Plan, choose
from easyr1_fgrpo.evaluation.results.results import Evaluation
from easyr1_fgrpo.evaluation.styles import STYLES
from easyr1_fgrpo.generation.generator import Generator
from easyr1_fgrpo.judges.protocol import Label
from easyr1_fgrpo.rows import read_rows, write_rows
from easyr1_fgrpo.traces import read_traces

from .made_items import UNJUDGED, judged_by

MODES = (Mode.GREEDY, Mode.SAMPLED)


@pytest.fixture
def evaluate_in(checkpoint, data, judge):
    """Evaluates into a folder; keywords change the plan."""

    def go(out, folder=checkpoint, rows=data, scoring=None, **changes):
        plan = Plan(
            [ModelSpec("tiny", STYLES["trained"], None, folder)], [Source(RowFile("held-out"), rows)], out,
            modes=MODES, samples=6, max_new_tokens=8, concurrency=4,
        )  # fmt: skip
        evaluation, rejects = asyncio.run(evaluate(replace(plan, **changes), scoring or judged_by(judge)))
        assert not rejects
        return evaluation.results

    return go


def test_a_part_of_the_rows_is_named_as_one(data, tmp_path):
    rows = len(list(read_rows(data)))
    source = Source(RowFile("held-out"), data)
    for samples, taken in ((3, f"3 of {rows} rows, seed 7"), (rows, ""), (None, "")):
        assert Plan([], [source], tmp_path, samples=samples, seed=7).taken(source) == taken


@pytest.fixture
def batches(monkeypatch):
    """Sizes of the batches that were generated."""
    found = []
    complete = Generator.complete

    def counted(self, prompts):
        found.append(len(prompts))
        return complete(self, prompts)

    monkeypatch.setattr(Generator, "complete", counted)
    return found


@pytest.fixture
def respond(monkeypatch):
    """Makes the model answer each question of a file as told, whatever it generated."""

    def say(**by_id):
        async def answer(self, asking, item, pictures):
            from easyr1_fgrpo.evaluation.answers.asking import Answer

            return Answer(by_id[item.id.replace("/", "_")], tokens=3)

        monkeypatch.setattr(
            "easyr1_fgrpo.evaluation.asked_model._by_process", lambda model: lambda *a: answer(None, *a)
        )

    return say


def traces(out, mode):
    records, bad = read_traces([out / "traces" / f"tiny-held-out-{mode}.jsonl"])
    assert bad == 0
    return {record.evaluation.item: record for record in records}


def test_every_mode_gets_a_result_and_a_trace_for_every_question(evaluate_in, data, tmp_path):
    results = evaluate_in(tmp_path)
    assert [result.mode for result in results] == list(MODES)
    assert Evaluation.load(tmp_path).results == results
    rows = list(RowFile("held-out").load(data))
    chosen = [item.id for item in choose(rows, 6, 0)]
    for result in results:
        assert [outcome.item for outcome in result.outcomes] == chosen
        assert (result.metrics["accuracy"].n, result.totals.rows) == (6, 6)
        records = traces(tmp_path, result.mode)
        assert records.keys() == set(chosen)
        assert all((tmp_path / "images" / f"{record.images[0]}.png").exists() for record in records.values())
    greedy, sampled = (traces(tmp_path, mode) for mode in MODES)
    assert any(greedy[item].response != sampled[item].response for item in chosen)


def test_neither_batch_nor_concurrency_nor_repetition_matters(evaluate_in, tmp_path):
    responses = []
    for out, concurrency in (("a", 6), ("b", 1), ("c", 4)):
        results = evaluate_in(tmp_path / out, concurrency=concurrency)
        found = [{item: r.response for item, r in traces(tmp_path / out, mode).items()} for mode in MODES]
        responses.append((found, [result.metrics for result in results]))
    assert responses[0] == responses[1] == responses[2]


def test_what_is_finished_is_not_asked_again_and_what_changed_is(evaluate_in, checkpoint, batches, tmp_path):
    first = evaluate_in(tmp_path)
    assert batches == [4, 2] * 2
    assert evaluate_in(tmp_path) == first
    assert batches == [4, 2] * 2
    greedy = {"modes": (Mode.GREEDY,)}
    evaluate_in(tmp_path, **greedy, max_new_tokens=9)
    assert sum(batches) == 18
    copy = tmp_path / "copy"
    shutil.copytree(checkpoint, copy)
    evaluate_in(tmp_path, copy, **greedy)
    assert sum(batches) == 18  # the same weights, wherever they lie
    (copy / "generation_config.json").write_text("{}")
    evaluate_in(tmp_path, copy, **greedy)
    assert sum(batches) == 24


def test_an_interrupted_evaluation_goes_on_and_asks_nothing_twice(evaluate_in, batches, tmp_path):
    first = evaluate_in(tmp_path)
    (tmp_path / "results.json").unlink()
    file = tmp_path / "traces" / "tiny-held-out-greedy.jsonl"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])  # answered, and scored only in part
    (tmp_path / "traces" / "tiny-held-out-sampled.jsonl").unlink()
    assert evaluate_in(tmp_path) == first
    assert sum(batches) == 12
    answers = tmp_path / "answers" / "tiny.jsonl"
    answers.write_bytes(answers.read_bytes()[:-10])  # killed while the last answer was written
    file.unlink()
    (tmp_path / "traces" / "tiny-held-out-sampled.jsonl").unlink()
    assert evaluate_in(tmp_path) == first
    assert sum(batches) == 13


def test_another_file_of_rows_under_the_same_name_is_asked_anew(evaluate_in, data, batches, tmp_path):
    rows = [row.model_dump(by_alias=True) for row in read_rows(data)]
    path = tmp_path / "rows.parquet"
    for number, text in enumerate((rows, rows[::-1])):
        write_rows(path, text)
        (result,) = evaluate_in(tmp_path / "out", rows=path, modes=(Mode.GREEDY,), samples=None)
        assert sum(batches) == 12 * (number + 1)
        assert result.totals.rows == 12


def test_the_choice_of_rows_is_seeded_and_in_file_order():
    rows = list(range(12))
    assert choose(rows, 5, 0) == choose(rows, 5, 0) == sorted(choose(rows, 5, 0))
    assert choose(rows, 5, 0) != choose(rows, 5, 1)
    assert choose(rows, 100, 0) == rows


def test_question_seeds_differ():
    keys = [(seed, f"{split}/{index}") for seed in (0, 1) for split in ("val", "test") for index in range(50)]
    assert len({question_seed(*key) for key in keys}) == len(keys)
    assert 0 <= question_seed(0, "test/0") < 2**63


def test_all_rollouts_are_judged_right_and_wrong(evaluate_in, data, respond, tmp_path):
    rows = list(RowFile("held-out").load(data))[:6]
    wrong = next(choice for choice in rows[1].choices if choice != rows[1].answer)
    claim = "The red circle is at <bbox>[0,0,7,7]</bbox>."
    said = (
        f"<think>{claim} So the answer is {rows[0].answer}.</think><answer>{rows[0].answer}</answer>",
        f"<think>{claim} So the answer is {rows[1].answer}.</think><answer>{wrong}</answer>",
        f"<answer>{rows[2].answer}</answer>",
        *("gibberish", "<think>So the answer is</think>", "<think>"),
    )
    write_rows(tmp_path / "six.parquet", [row.model_dump(by_alias=True) for row in read_rows(data)][:6])
    respond(**{row.id.replace("/", "_"): text for row, text in zip(rows, said, strict=True)})
    (result,) = evaluate_in(tmp_path, rows=tmp_path / "six.parquet", modes=(Mode.GREEDY,))
    assert [item.accurate for item in result.outcomes] == [True, False, True, False, False, False]
    assert [item.consistency for item in result.outcomes] == [Label.YES, Label.NO, None, None, None, None]
    assert [item.parsable for item in result.outcomes] == [True, True, False, False, False, False]
    assert [item.semantic_grounding for item in result.outcomes[:2]] == [1.0, 1.0]
    assert result.metrics["inconsistency"].value == 1 / 2
    assert result.metrics["inconsistency_at_most"].value == 5 / 6


def test_without_a_judge_nothing_is_consistent_or_inconsistent(evaluate_in, data, respond, tmp_path):
    respond(**{
        item.id.replace("/", "_"): "<think>The red circle is big.</think><answer>left</answer>"
        for item in RowFile("held-out").load(data)
    })  # fmt: skip
    (result,) = evaluate_in(tmp_path, scoring=UNJUDGED, modes=(Mode.GREEDY,))
    metrics = result.metrics
    assert metrics["inconsistency"].value is None
    assert metrics["semantic_grounding"].value is None
    assert metrics["unjudged"].value == metrics["grounding_unjudged"].value == 1.0
    assert metrics["format"].value == 1.0


def test_a_cut_response_is_truncated(evaluate_in, tmp_path):
    (result,) = evaluate_in(tmp_path, modes=(Mode.GREEDY,), max_new_tokens=2)
    assert all(item.truncated == (item.tokens == 2) for item in result.outcomes)
    assert result.metrics["truncated"].value > 0


def test_rewards_see_images_and_boxes_at_the_policys_size(evaluate_in, data, respond, tmp_path):
    row = next(row for row in read_rows(data) if row.extra_info.boxes)
    table = row.model_dump(by_alias=True)
    image = row.open_images()[0].resize((168, 126))  # rounds to 168 x 140 or 168 x 112 in multiples of 28
    path = tmp_path / "big.png"
    image.save(path)
    table["images"] = [{"bytes": path.read_bytes()}]
    table["extra_info"] |= {"width": 168, "height": 126, "boxes": [[84, 63, 168, 126]]}
    write_rows(tmp_path / "big.parquet", [table])
    width, height = prepare([image], None, fit=True)[0].image.size
    box = [84, height // 2, 168, height]
    key = f"{row.extra_info.split}_{row.extra_info.index}"
    respond(**{key: f"<think>It is at <bbox>{box}</bbox>.</think><answer>left</answer>"})
    evaluate_in(tmp_path, modes=(Mode.GREEDY,), rows=tmp_path / "big.parquet")
    (record,) = traces(tmp_path, Mode.GREEDY).values()
    assert (width, record.reference_boxes) == (168, (tuple(map(float, box)),))
    assert record.signals["spatial_grounding"].value == 1.0


def test_a_checkpoint_that_cannot_be_loaded_is_one_line(evaluate_in, checkpoint, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(checkpoint, folder)
    (folder / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match="copy cannot be loaded"):
        evaluate_in(tmp_path / "out", folder)


def test_a_style_that_begins_the_answer_takes_a_server(checkpoint, data, tmp_path):
    plan = Plan([ModelSpec("tiny", STYLES["treevgr"], None, checkpoint)], [Source(RowFile("x"), data)], tmp_path)
    with pytest.raises(ValueError, match="style treevgr begins the answer"):
        asyncio.run(evaluate(plan, UNJUDGED))


async def test_questions_that_wait_are_answered_together(checkpoint, data, batches):
    model = InProcess(checkpoint, rows=4)
    items = list(RowFile("x").load(data))[:6]
    pictures = [prepare(item.load_images(), None, fit=True) for item in items]
    request = {"temperature": 0.0, "max_tokens": 4}
    answers = await asyncio.gather(*(
        model.answer(STYLES["trained"].messages(item, 1), seen, request)
        for item, seen in zip(items, pictures, strict=True)
    ))  # fmt: skip
    assert batches == [4, 2]
    assert all(answer.tokens for answer in answers)
