import asyncio
import json
import shutil
from dataclasses import replace

import pytest

from easyr1_fgrpo.evaluation import run
from easyr1_fgrpo.evaluation.judges import NoJudge
from easyr1_fgrpo.evaluation.results import Mode, Result
from easyr1_fgrpo.evaluation.run import Protocol, choose_rows, evaluate_checkpoints, question_seed
from easyr1_fgrpo.generation.generator import Generator
from easyr1_fgrpo.judges.protocol import Label, Question
from easyr1_fgrpo.rows import read_rows, write_rows
from easyr1_fgrpo.traces import read_traces

MODES = [Mode.GREEDY, Mode.SAMPLED]


@pytest.fixture
def protocol(data):
    return Protocol(data, samples=6, seed=0, max_new_tokens=8, judge="text", judge_options={}, batch=4)


@pytest.fixture
def evaluate_in(checkpoint, protocol, judge):
    """Evaluates into a folder; keywords change the protocol."""

    def go(out, folder=checkpoint, modes=MODES, judge=judge, **changes):
        return asyncio.run(
            evaluate_checkpoints(
                {"tiny": folder}, modes, replace(protocol, **changes), dict.fromkeys(Question, judge), out
            )
        )

    return go


@pytest.fixture
def count_generation(monkeypatch):
    """Batches generated so far."""
    batches = []
    complete = Generator.complete

    def counted(self, prompts):
        batches.append(len(prompts))
        return complete(self, prompts)

    monkeypatch.setattr(Generator, "complete", counted)
    return batches


@pytest.fixture
def respond(monkeypatch):
    """Makes the model say what it is told, whatever it generated."""

    def say(*responses):
        told = iter(responses)
        monkeypatch.setattr(Generator, "decode", lambda self, completion: next(told))

    return say


def unclocked(results):
    return [result.model_copy(update={"seconds": 0.0}) for result in results]


def test_every_mode_gets_a_result_and_a_trace_for_every_question(evaluate_in, data, checkpoint, tmp_path):
    results = evaluate_in(tmp_path)
    assert [result.inputs.mode for result in results] == MODES
    chosen = [row.extra_info.index for row in choose_rows(data, 6, 0)]
    for result in results:
        mode = result.inputs.mode
        assert Result.load(tmp_path / f"tiny-{mode}.json") == result
        assert [item.index for item in result.items] == chosen
        assert result.metrics["accuracy"].n == 6
        records, n_bad = read_traces([tmp_path / "traces" / f"tiny-{mode}.jsonl"])
        assert ([record.index for record in records], n_bad) == (chosen, 0)
        assert all((tmp_path / "images" / f"{record.images[0]}.png").exists() for record in records)
    greedy, sampled = (result.items for result in results)
    assert greedy != sampled


def test_the_same_evaluation_twice_is_the_same(evaluate_in, tmp_path):
    assert unclocked(evaluate_in(tmp_path / "a")) == unclocked(evaluate_in(tmp_path / "b"))


def test_outcomes_do_not_depend_on_the_batch(evaluate_in, tmp_path):
    together, apart = evaluate_in(tmp_path / "a", batch=6), evaluate_in(tmp_path / "b", batch=1)
    assert [result.items for result in together] == [result.items for result in apart]
    traces = [read_traces([tmp_path / out / "traces" / "tiny-sampled.jsonl"])[0] for out in "ab"]
    assert [record.response for record in traces[0]] == [record.response for record in traces[1]]


def test_a_finished_result_is_kept_and_a_missing_one_is_measured(evaluate_in, count_generation, tmp_path):
    first = evaluate_in(tmp_path)
    assert count_generation == [4, 2] * 2
    assert evaluate_in(tmp_path) == first
    assert count_generation == [4, 2] * 2
    (tmp_path / "tiny-sampled.json").unlink()
    assert unclocked(evaluate_in(tmp_path)) == unclocked(first)
    assert count_generation == [4, 2] * 3


@pytest.mark.parametrize("change", [{"seed": 1}, {"samples": 5}, {"max_new_tokens": 9}, {"judge_options": {"a": 1}}])
def test_a_result_from_other_inputs_is_replaced(evaluate_in, count_generation, tmp_path, change):
    evaluate_in(tmp_path, modes=[Mode.GREEDY])
    count_generation.clear()
    (result,) = evaluate_in(tmp_path, modes=[Mode.GREEDY], **change)
    assert sum(count_generation) == len(result.items)
    records, _ = read_traces([tmp_path / "traces" / "tiny-greedy.jsonl"])
    assert len(records) == len(result.items)


def test_new_weights_are_measured_again(evaluate_in, checkpoint, count_generation, tmp_path):
    evaluate_in(tmp_path, modes=[Mode.GREEDY])
    folder = tmp_path / "copy"
    shutil.copytree(checkpoint, folder)
    count_generation.clear()
    evaluate_in(tmp_path, folder, modes=[Mode.GREEDY])
    assert not count_generation
    (folder / "generation_config.json").write_text("{}")
    evaluate_in(tmp_path, folder, modes=[Mode.GREEDY])
    assert count_generation


def test_a_damaged_result_is_measured_again(evaluate_in, count_generation, tmp_path):
    (first,) = evaluate_in(tmp_path, modes=[Mode.GREEDY])
    path = tmp_path / "tiny-greedy.json"
    path.write_text(path.read_text()[:-50])
    count_generation.clear()
    (second,) = evaluate_in(tmp_path, modes=[Mode.GREEDY])
    assert count_generation
    assert unclocked([second]) == unclocked([first])


def test_an_interrupted_evaluation_leaves_no_result(evaluate_in, monkeypatch, tmp_path):
    evaluate_in(tmp_path, modes=[Mode.GREEDY])
    with monkeypatch.context() as patch:
        patch.setattr(run, "measure", lambda items, seed: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            evaluate_in(tmp_path, modes=[Mode.GREEDY], seed=1)
    assert not (tmp_path / "tiny-greedy.json").exists()
    assert evaluate_in(tmp_path, modes=[Mode.GREEDY], seed=1)[0].inputs.seed == 1


def test_all_rollouts_are_judged_right_and_wrong(evaluate_in, data, respond, tmp_path):
    rows = choose_rows(data, 6, 0)
    right = [row.reward_model.ground_truth for row in rows]
    wrong = [next(choice for choice in row.extra_info.choices if choice != right[n]) for n, row in enumerate(rows)]
    claim = "The red circle is at <bbox>[0,0,7,7]</bbox>."
    respond(
        f"<think>{claim} So the answer is {right[0]}.</think><answer>{right[0]}</answer>",
        f"<think>{claim} So the answer is {right[1]}.</think><answer>{wrong[1]}</answer>",
        f"<answer>{right[2]}</answer>",
        "gibberish",
        "<think>So the answer is</think>",
        "<think>",
    )
    (result,) = evaluate_in(tmp_path, modes=[Mode.GREEDY])
    assert [item.accurate for item in result.items] == [True, False, True, False, False, False]
    assert [item.consistency for item in result.items] == [Label.YES, Label.NO, None, None, None, None]
    assert [item.parsable for item in result.items] == [True, True, False, False, False, False]
    assert [item.semantic_grounding for item in result.items[:2]] == [1.0, 1.0]
    assert result.metrics["inconsistency"].value == 1 / 2
    assert result.metrics["inconsistency_at_most"].value == 5 / 6


def test_without_a_judge_nothing_is_consistent_or_inconsistent(evaluate_in, respond, tmp_path):
    respond(*["<think>The red circle is big.</think><answer>left</answer>"] * 6)
    (result,) = evaluate_in(tmp_path, modes=[Mode.GREEDY], judge=NoJudge())
    metrics = result.metrics
    assert metrics["inconsistency"].value is None
    assert metrics["semantic_grounding"].value is None
    assert metrics["unjudged"].value == metrics["grounding_unjudged"].value == 1.0
    assert metrics["format"].value == 1.0


def test_a_cut_response_is_truncated(evaluate_in, tmp_path):
    (result,) = evaluate_in(tmp_path, modes=[Mode.GREEDY], max_new_tokens=2)
    assert all(item.truncated == (item.tokens == 2) for item in result.items)
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
    respond("<think>It is at <bbox>[84,56,168,112]</bbox>.</think><answer>left</answer>")
    evaluate_in(tmp_path, modes=[Mode.GREEDY], data=tmp_path / "big.parquet", samples=1)
    (record,), _ = read_traces([tmp_path / "traces" / "tiny-greedy.jsonl"])
    assert record.reference_boxes == ((84, 56, 168, 112),)
    assert record.signals["spatial_grounding"].value == 1.0


def test_the_choice_of_rows_is_seeded_and_in_file_order(data):
    def chosen(samples, seed):
        return [row.extra_info.index for row in choose_rows(data, samples, seed)]

    assert chosen(5, 0) == chosen(5, 0) == sorted(chosen(5, 0))
    assert chosen(5, 0) != chosen(5, 1)
    assert chosen(100, 0) == list(range(12))


def test_question_seeds_differ():
    keys = [(seed, split, index) for seed in (0, 1) for split in ("val", "test") for index in range(50)]
    assert len({question_seed(*key) for key in keys}) == len(keys)
    assert 0 <= question_seed(0, "test", 0) < 2**63


def test_the_result_names_everything_it_depends_on(evaluate_in, checkpoint, data, tmp_path):
    evaluate_in(tmp_path, modes=[Mode.GREEDY])
    written = json.loads((tmp_path / "tiny-greedy.json").read_text())
    assert written["checkpoint"] == str(checkpoint)
    assert written["data"] == str(data)
    assert written["inputs"]["mode"] == "greedy"
    assert len(written["inputs"]["data_sha256"]) == len(written["inputs"]["checkpoint_sha256"]) == 64
