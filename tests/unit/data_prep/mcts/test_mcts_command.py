# The whole command against a real server on loopback, killed, failing and out of budget.
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import typer
from judge_endpoint import Script, judge_endpoint
from PIL import Image
from typer.testing import CliRunner

from data_prep.mcts.linearise import CUE
from data_prep.mcts.steps import MAX_REPLY
from data_prep.mcts.tree import Tree
from easyr1_fgrpo.cli.data.mcts import mcts
from easyr1_fgrpo.rewards.accuracy import answer_matches
from easyr1_fgrpo.rewards.response import parse_response
from easyr1_fgrpo.rows import CONVERSATION_SCHEMA, write_rows
from easyr1_fgrpo.task_prompt import prompt_messages

from .scripted_teacher import BOX, World, files

ROOT = Path(__file__).parents[4]
SMALL = ["--simulations", "4", "--concurrency", "4"]
APP = typer.Typer()
APP.command()(mcts)


@pytest.fixture(autouse=True)
def short_back_off(monkeypatch):
    monkeypatch.setattr("easyr1_fgrpo.model_client.retrying.FIRST_PAUSE_S", 0.001)


def arguments(world, out, server, *more):
    return [str(world.path), "--out", str(out), "--base-url", server.url, "--model", "scripted", *SMALL, *more]


def run(world, out, script, *more):
    """The command's result and the server."""
    with judge_endpoint(script) as server:
        return CliRunner().invoke(APP, arguments(world, out, server, *more)), server


def scripted(world, **how):
    return Script(answer=world.answer, **how)


def summary(out):
    return json.loads((out / "sft" / "summary.json").read_text())


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(Path(tmp_path_factory.mktemp("world")) / "rows.parquet", 5)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, world):
    """The folder of an undisturbed run, its result and how many calls it took."""
    out = Path(tmp_path_factory.mktemp("finished")) / "out"
    result, server = run(world, out, scripted(world))
    assert result.exit_code == 0, result.output
    return out, result, server.calls


# ---------------------------------------------------------------------- what it writes


def test_the_account_adds_up(finished, world):
    out, result, calls = finished
    counts = summary(out)
    assert counts["questions"] == {"in": 5, "out": 5, "rejected": {}}
    chains = counts["chains"]
    assert chains["in"] == chains["out"] + sum(chains["rejected"].values())
    assert sum(chains["rejected"].values()) == len(rejects(out))
    assert counts["teacher"]["model"] == "scripted"
    assert (
        chains["out"] == chains["direct"] + chains["corrected"] == pq.read_metadata(out / "sft/train.parquet").num_rows
    )
    assert chains["corrected"] > 0
    assert f"{calls} calls, {calls * 102} tokens in this run" in result.output
    assert "questions: 5 in, 5 out\n" in result.output
    assert f"chains: {chains['in']} in, {chains['out']} out" in result.output


def test_trees_are_whole_and_their_books_are_kept(finished, world):
    out, _, calls = finished
    trees = [Tree.model_validate_json(path.read_bytes()) for path in sorted((out / "trees").iterdir())]
    assert [tree.name for tree in trees] == [f"miniature-{index}" for index in range(5)]
    assert sum(tree.calls for tree in trees) == calls
    assert all((tree.prompt_tokens, tree.completion_tokens) == (100 * tree.calls, 2 * tree.calls) for tree in trees)
    assert all(0 < tree.root.total < tree.root.visits for tree in trees)
    assert list((out / "unfinished").iterdir()) == []
    assert len(set(world.asked[:calls])) == calls


def test_each_trace_is_a_right_response_to_the_policys_prompt(finished, world):
    out, _, _ = finished
    rows = {row["images"][0]["bytes"]: row for row in pq.read_table(world.path).to_pylist()}
    seen = []
    for conversation in pq.read_table(out / "sft" / "train.parquet").to_pylist():
        row = rows[conversation["images"][0]["bytes"]]
        *prompt, answer = conversation["messages"]
        choices = row["extra_info"]["choices"]
        assert prompt == prompt_messages(row["extra_info"]["question"], choices, 1)
        parsed = parse_response(answer["content"])
        assert parsed.well_formed
        assert len(parsed.boxes) == parsed.n_boxes > 0
        assert answer_matches(parsed.answer, row["reward_model"]["ground_truth"], choices)
        assert answer["role"] == "assistant"
        assert answer["content"].count(CUE) <= 1
        seen.append(row["extra_info"]["index"])
    assert seen == sorted(seen)


def test_the_columns_are_those_of_verls_supervised_trainer(finished):
    out, _, _ = finished
    assert pq.read_schema(out / "sft" / "train.parquet").equals(CONVERSATION_SCHEMA)


def test_both_sets_are_read_back_by_datasets(finished, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    out, _, _ = finished
    parquet = datasets.load_dataset("parquet", data_files=str(out / "sft/train.parquet"), cache_dir=str(tmp_path))[
        "train"
    ]
    shared = datasets.load_dataset("json", data_files=str(out / "sft/traces.json"), cache_dir=str(tmp_path))["train"]
    assert parquet["messages"] == shared["messages"]
    for conversation, pictures in zip(shared, parquet["images"], strict=True):
        marks = sum(message["content"].count("<image>") for message in conversation["messages"])
        assert marks == len(conversation["images"]) == len(pictures) == 1
        path = out / "sft" / conversation["images"][0]
        assert path.read_bytes() == pictures[0]["bytes"]
        assert Image.open(path).size == (84, 84)


def test_llama_factorys_description_names_what_is_there(finished):
    out, _, _ = finished
    info = json.loads((out / "sft" / "dataset_info.json").read_text())["fgrpo_traces"]
    traces = json.loads((out / "sft" / info["file_name"]).read_text())
    tags = info["tags"]
    assert info["formatting"] == "sharegpt"
    for trace in traces:
        assert set(trace) == set(info["columns"].values())
        roles = [message[tags["role_tag"]] for message in trace[info["columns"]["messages"]]]
        assert roles == [tags["system_tag"], tags["user_tag"], tags["assistant_tag"]]
        assert all(message[tags["content_tag"]] for message in trace["messages"])


def test_other_coordinates_for_the_policy_need_no_new_search(finished, world, tmp_path):
    out, _, _ = finished
    before = pq.read_table(out / "sft" / "train.parquet").to_pylist()
    copy = tmp_path / "out"
    (copy / "trees").mkdir(parents=True)
    for path in ("settings.json", *(f"trees/miniature-{index}.json" for index in range(5))):
        (copy / path).write_bytes((out / path).read_bytes())
    result, server = run(world, copy, scripted(world), "--policy-coordinates", "thousand")
    assert (result.exit_code, server.calls) == (0, 0)
    assert not (copy / "sft").exists()  # a set for each convention, its name and its summary say which
    assert json.loads((copy / "sft_thousand/summary.json").read_text())["policy"]["coordinates"] == "thousand"
    after = pq.read_table(copy / "sft_thousand" / "train.parquet").to_pylist()
    for old, new in zip(before, after, strict=True):
        pixels, thousandths = (parse_response(each["messages"][-1]["content"]).boxes for each in (old, new))
        assert thousandths == tuple(tuple(round(value * 1000 / 84) for value in box) for box in pixels)


def test_a_teacher_in_thousandths_is_understood(finished, world, tmp_path):
    def in_thousandths(case):
        assert "thousandths" in case.rules
        boxed = BOX.search(text := world.answer(case))
        if boxed is None:
            return text
        thousandths = ",".join(f"{int(number) * 1000 / 84:.4f}" for number in boxed[1].split(","))
        return text.replace(boxed[1], thousandths)

    world_of_one = World(tmp_path / "rows.parquet", 1)
    world_of_one.answer = world.answer
    result, _ = run(world_of_one, tmp_path / "out", Script(answer=in_thousandths), "--coordinates", "thousand")
    assert result.exit_code == 0, result.output
    ours, theirs = (
        Tree.model_validate_json((out / "trees/miniature-0.json").read_bytes())
        for out in (tmp_path / "out", finished[0])
    )
    assert ours.root.children[0].step == theirs.root.children[0].step


# ---------------------------------------------------------------------- going on


def test_failures_leave_no_trace_in_the_result(finished, world, tmp_path):
    shares = {"429": 0.1, "500": 0.1, "drop": 0.05, "broken": 0.05, "half": 0.05}
    result, server = run(world, tmp_path / "out", scripted(world, shares=shares))
    assert result.exit_code == 0, result.output
    assert server.counts["answer"] == finished[2] < server.calls
    assert files(tmp_path / "out", "trees", "sft") == files(finished[0], "trees", "sft")


def test_killed_in_the_middle_and_started_again(finished, world, tmp_path):
    out = tmp_path / "out"
    script = scripted(world, delay_s=0.02)
    with judge_endpoint(script) as server:
        program = "import typer; from easyr1_fgrpo.cli.data.mcts import mcts; typer.run(mcts)"
        command = [sys.executable, "-c", program, *arguments(world, out, server)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 240
            while not list(out.glob("trees/*.json")) or server.calls < finished[2] * 0.6:
                assert process.poll() is None, "it was finished before it could be killed"
                assert time.monotonic() < deadline
                time.sleep(0.002)
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        done = {int(path.stem.partition("-")[2]) for path in out.glob("trees/*.json")}
        journals = list(out.glob("unfinished/*.jsonl"))
        assert 0 < len(done) < 5
        assert journals
        with journals[0].open("ab") as journal:
            journal.write(b'{"address": "0+')  # torn
        script.delay_s, world.asked[:] = 0.0, []
        result = CliRunner().invoke(APP, arguments(world, out, server))
    assert result.exit_code == 0, result.output
    assert files(out, "trees", "sft", "unfinished") == files(finished[0], "trees", "sft", "unfinished")
    assert not done & {index for index, _ in world.asked}
    # Only the calls under way were asked again: counted by the server alone, which may look at one after the kill.
    assert finished[2] <= server.calls <= finished[2] + 4


def test_the_budget_stops_it_and_the_same_command_goes_on(finished, world, tmp_path):
    out, calls = tmp_path / "out", 0
    budget = finished[2] // 2 + 1
    for last in (False, True):
        result, server = run(world, out, scripted(world), "--max-calls", str(budget))
        calls += server.calls
        if not last:
            assert result.exit_code == 3
            assert server.calls == budget
            left = 5 - len(list(out.glob("trees/*.json")))
            assert (
                f"{left} questions are left (the budget of this run is used up: {budget} of {budget} calls"
                in result.output
            )
            assert summary(out)["questions"]["rejected"]["not searched yet"] == left
    assert result.exit_code == 0, result.output
    assert calls == finished[2]
    assert files(out, "trees", "sft") == files(finished[0], "trees", "sft")


def test_a_finished_run_asks_nothing_and_writes_the_same(finished, world):
    out, _, _ = finished
    before = files(out, "trees", "sft")
    result, server = run(world, out, scripted(world))
    assert (result.exit_code, server.calls) == (0, 0)
    assert files(out, "trees", "sft") == before


# ---------------------------------------------------------------------- what goes wrong


GARBAGE = ["", "Sure!", "x" * 200_000, "<image><|im_end|>", "<think>\x00</think>", '{"a": [', "<answer></answer>"]


def test_garbage_from_the_teacher_costs_only_itself(world, tmp_path):
    def answer(case):
        seed = case.body["seed"]
        return GARBAGE[seed % len(GARBAGE)] if seed % 3 == 0 else world.answer(case)

    out = tmp_path / "out"
    result, _ = run(world, out, Script(answer=answer, shares={"null": 0.05}))
    assert result.exit_code == 0, result.output
    text = "".join(path.read_text() for path in out.glob("trees/*.json"))
    for reason in ("empty", "too long", "holds no box", "holds markup", "hidden characters"):
        assert reason in text
    assert len(text) < 5 * 100_000
    for reply in GARBAGE[1:5]:
        assert json.dumps(reply)[1:-1][:MAX_REPLY] not in text
    assert summary(out)["questions"]["out"] > 0


def test_a_question_that_cannot_be_asked_is_left_and_said(world, tmp_path):
    out = tmp_path / "out"
    result, _ = run(world, out, scripted(world, first=["answer"] * 20 + ["400"]))
    assert result.exit_code == 3
    assert "1 questions are left (calls failed, see " in result.output
    (reject,) = [entry for entry in rejects(out) if "chain" not in entry]
    assert reject["reason"].startswith("the teacher failed: http://127.0.0.1:")
    assert "answered 400: " in reject["reason"]
    assert "as told" in reject["reason"]
    assert summary(out)["questions"] == {"in": 5, "out": 4, "rejected": {"the teacher failed": 1}}
    assert run(world, out, scripted(world))[0].exit_code == 0


def rejects(out):
    return [json.loads(line) for line in (out / "sft" / "rejects.jsonl").read_text().splitlines()]


def test_a_teacher_that_refuses_everything_ends_the_run(world, tmp_path):
    result, server = run(world, tmp_path / "out", Script(shares={"401": 1.0}))
    assert result.exit_code == 1
    assert "error: the teacher gave no reply 8 times in a row; the last: " in result.output
    assert "name a key by api_key_env" in result.output
    assert server.calls < 8 + 4
    assert "questions: 5 in, 0 out" in result.output


def test_a_teacher_who_is_never_right_gives_no_traces(tmp_path):
    world = World(tmp_path / "rows.parquet", 2, right=0.0)
    result, _ = run(world, tmp_path / "out", scripted(world))
    assert result.exit_code == 0
    assert "questions: 2 in, 0 out, 2 rejected (no good chain, 100.0%)" in result.output
    assert json.loads((tmp_path / "out/sft/traces.json").read_text()) == []


def test_bad_rows_are_rejected_and_the_others_searched(world, tmp_path):
    rows = pq.read_table(world.path).to_pylist()
    rows[0]["images"][0]["bytes"] = b"no picture"
    rows[1]["reward_model"]["ground_truth"] = "sideways"
    rows[2]["extra_info"]["width"] = 85
    path = tmp_path / "rows.parquet"
    write_rows(path, rows)
    broken = World(tmp_path / "unused.parquet", 5)
    broken.path = path
    result, _ = run(broken, tmp_path / "out", scripted(world))
    assert result.exit_code == 0, result.output
    assert "questions: 5 in, 2 out, 3 rejected (bad row, 60.0%)" in result.output
    reasons = [entry["reason"] for entry in rejects(tmp_path / "out") if "chain" not in entry]
    assert "unreadable image" in reasons[0]
    assert "'sideways' is none of the choices" in reasons[1]
    assert "a picture has 84 x 84 pixels, extra_info says 85 x 84" in reasons[2]


def test_what_does_not_fit_is_refused_in_one_line(finished, world, tmp_path):
    out, _, _ = finished
    for more, message in [
        (["--seed", "1"], "was begun with other settings (seed=0, now 1): remove it or choose another --out"),
        (["--min-pixels", "9"], "--min-pixels 9 --max-pixels 4194304: at least 784"),
        (["--api-key-env", "NO_SUCH_KEY"], "the environment variable NO_SUCH_KEY"),
    ]:
        result, _ = run(world, out, scripted(world), *more)
        assert result.exit_code == 1
        assert message in result.output.splitlines()[-1]
    twice = tmp_path / "twice.parquet"
    rows = pq.read_table(world.path).to_pylist()
    write_rows(twice, [*rows, rows[1]])
    world_twice = World(tmp_path / "unused.parquet", 1)
    world_twice.path = twice
    result, _ = run(world_twice, tmp_path / "out", scripted(world))
    assert result.exit_code == 1
    assert f"{twice} rows 1 and 5 are both called miniature-1" in result.output


def test_a_tree_of_another_row_is_not_taken_for_this_ones(finished, world, tmp_path):
    other = World(tmp_path / "rows.parquet", 6)
    rows = pq.read_table(other.path).to_pylist()
    rows[0]["images"], rows[5]["images"] = rows[5]["images"], rows[0]["images"]
    write_rows(other.path, rows[:1])
    result, _ = run(other, finished[0], scripted(world))
    assert result.exit_code == 1
    assert "trees/miniature-0.json was made from another row of this name" in result.output
