import asyncio
import base64
import json
import os
import random
import subprocess
import sys
from contextlib import nullcontext
from importlib.util import find_spec

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from judge_endpoint import Script, judge_endpoint
from made_rows import made_folder, made_row, png

from data_prep.difficulty import filter as difficulty
from data_prep.difficulty import rollout_engines
from data_prep.difficulty.filter import Keep, TooManyFailed, choose, filter_by_difficulty, report
from data_prep.difficulty.ledger import Ledger
from data_prep.difficulty.rollout_engines import AskEndpoint, Endpoint, Vllm, single_rollouts, vllm_reply, vllm_request
from data_prep.difficulty.rollouts import Outcome, Sampling, chat_messages, draw_of, measure, row_key
from data_prep.shards import read_rejects, read_rows

SAMPLING = Sampling("base")


def said(answer):
    return f"<think>The cup is there.</think><answer>{answer}</answer>"


# ---------------------------------------------------------------------- which rows are kept


def test_the_intermediate_rows_are_kept_and_a_tenth_of_the_others():
    right = {f"row{i}": i % 5 for i in range(100)}  # 20 of each: 0, 1, 2, 3 and 4 of 4
    kept = choose(right, 4, extremes=0.1, seed=0)
    intermediate = {key for key, count in right.items() if 0 < count < 4}
    assert intermediate <= kept
    assert len(kept) == 60 + 4
    assert kept - intermediate == set(sorted((k for k in right if right[k] in (0, 4)), key=lambda k: draw_of(0, k))[:4])


def test_the_tenth_is_rounded_to_the_nearest_count():
    for extreme, drawn in [(0, 0), (4, 0), (5, 1), (14, 1), (15, 2), (20, 2)]:
        assert len(choose({str(i): 0 for i in range(extreme)}, 4, extremes=0.1, seed=0)) == drawn, extreme


@given(st.dictionaries(st.text("abcdef", min_size=1), st.integers(0, 4)), st.randoms(use_true_random=False))
def test_the_choice_does_not_depend_on_the_order_and_grows_with_the_share(right, shuffled: random.Random):
    mixed = list(right.items())
    shuffled.shuffle(mixed)
    some = choose(right, 4, extremes=0.3, seed=1)
    assert some == choose(dict(mixed), 4, extremes=0.3, seed=1)
    assert choose(right, 4, 0.0, seed=1) <= some <= choose(right, 4, 1.0, seed=1) == set(right)


def test_draws_are_uniform_and_differ_by_seed():
    draws = [draw_of(0, f"row{i}") for i in range(2000)]
    assert 0.0 <= min(draws) < 0.01 < 0.99 < max(draws) < 1.0
    assert abs(sum(draws) / 2000 - 0.5) < 0.03
    assert draw_of(0, "row1") != draw_of(1, "row1")


# ---------------------------------------------------------------------- one rollout


def test_seeds_differ_by_row_and_rollout_and_stay_the_same():
    seeds = {SAMPLING.seed_of(f"sat/train/{row}", number) for row in range(50) for number in range(4)}
    assert len(seeds) == 200
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert SAMPLING.seed_of("sat/train/0", 0) == Sampling("other model").seed_of("sat/train/0", 0)


def test_every_image_mark_becomes_the_next_image_as_it_is_stored():
    one, two = png((1, 2, 3)), png((4, 5, 6))
    prompt = [{"role": "system", "content": "rules"}, {"role": "user", "content": "<image>first <image>second"}]
    system, user = chat_messages(prompt, [{"bytes": one}, {"bytes": two}])
    assert system == {"role": "system", "content": "rules"}
    assert [part["type"] for part in user["content"]] == ["image_url", "text", "image_url", "text"]
    urls = [part["image_url"]["url"] for part in user["content"] if part["type"] == "image_url"]
    assert urls == [f"data:image/png;base64,{base64.b64encode(data).decode()}" for data in (one, two)]
    assert [part["text"] for part in user["content"] if part["type"] == "text"] == ["first ", "second"]


def test_a_response_is_measured_by_grammar_and_answer():
    for text, correct, answer in [
        (said("left"), True, "left"),
        (said("A"), True, "A"),
        (said("right"), False, "right"),
        ("The answer is left.", False, None),
        ("", False, None),
        (said("x" * 5000), False, "x" * 200),
    ]:
        given = {"key": "k", "number": 2, "ground_truth": "left", "choices": ["left", "right"], "text": text}
        assert measure(given) == Outcome("k", 2, correct, answer), text


# ---------------------------------------------------------------------- the ledger


def test_a_line_cut_off_by_a_kill_is_dropped_and_the_others_stay(tmp_path):
    path = tmp_path / "out" / "rollouts.jsonl"
    ledger = Ledger(path, {"model": "m"})
    ledger.add([Outcome("a", 0, True, "left"), Outcome("a", 2, False, None)])
    ledger.close()
    with path.open("ab") as file:
        file.write(b'{"key": "a", "number": 3, "corr')
    again = Ledger(path, {"model": "m"})
    assert again.missing("a", 4) == [1, 3]
    assert again.missing("b", 2) == [0, 1]
    again.add([Outcome("a", 3, True, "left")])
    again.close()
    assert Ledger(path, {"model": "m"}).missing("a", 4) == [1]


def test_a_ledger_of_other_settings_or_something_else_is_refused(tmp_path):
    path = tmp_path / "rollouts.jsonl"
    Ledger(path, {"model": "m", "seed": 0}).close()
    with pytest.raises(ValueError, match=r"begun with other settings \(model='m', now 'n', seed=0, now 1\)"):
        Ledger(path, {"model": "n", "seed": 1})
    path.write_text("[1, 2]\n")
    with pytest.raises(ValueError, match="is no ledger"):
        Ledger(path, {"model": "m"})


# ---------------------------------------------------------------------- asking an endpoint


def asked_rows(n, missing=(0, 1, 2, 3)):
    rows = [made_row(i) for i in range(n)]
    return [row | {"key": row_key("sat", row["extra_info"]), "missing": list(missing)} for row in rows]


def ask(endpoint, rows):
    async def texts():
        worker = AskEndpoint(endpoint, SAMPLING)
        try:
            return (await worker(pa.Table.from_pylist(rows))).to_pylist()
        finally:
            await worker._client.close()

    return asyncio.run(texts())


@pytest.fixture
def no_pauses(monkeypatch):
    monkeypatch.setattr("easyr1_fgrpo.model_client.retrying.FIRST_PAUSE_S", 0.0)


def test_every_missing_rollout_is_asked_once_with_its_own_seed():
    with judge_endpoint(Script(answer=lambda case: said("left"), delay_s=0.02)) as server:
        texts = ask(Endpoint([server.url], concurrency=5), asked_rows(4, missing=(1, 3)))
    numbers = [(f"sat/train/{i}", n) for i in range(4) for n in (1, 3)]
    assert [(text["key"], text["number"]) for text in texts] == numbers
    assert all(measure(text).correct for text in texts)
    assert server.calls == 8
    assert server.most_at_once == 5
    asked = {(body["model"], body["temperature"], body["max_tokens"], body["seed"]) for body in server.bodies}
    assert asked == {("base", 1.0, 1024, SAMPLING.seed_of(key, n)) for key, n in numbers}


def test_passing_failures_are_repeated(no_pauses):
    with judge_endpoint(Script(answer=lambda case: said("left"), first=["500", "drop", "429", "broken"])) as server:
        (text,) = ask(Endpoint([server.url]), asked_rows(1, missing=(0,)))
    assert (text["text"], text["failure"]) == (said("left"), "")
    assert server.calls == 5


def test_what_stays_failed_has_a_cause_and_no_text_and_no_key(no_pauses, monkeypatch):
    monkeypatch.setenv("BASE_KEY", "sk-secret-of-the-test")
    with judge_endpoint(Script(shares={"401": 1.0}, says="bad key {key}\nsecond line")) as server:
        texts = ask(Endpoint([server.url], api_key_env="BASE_KEY"), asked_rows(1))
    assert server.calls == 4  # a refusal is not repeated
    assert server.headers[0]["authorization"] == "Bearer sk-secret-of-the-test"
    assert {text["text"] for text in texts} == {None}
    assert all("answered 401" in text["failure"] and "\n" not in text["failure"] for text in texts)
    assert "secret" not in json.dumps(texts)


def test_a_missing_key_is_a_failure_that_names_the_variable():
    (text,) = ask(Endpoint(["http://127.0.0.1:9/v1"], api_key_env="NO_SUCH_KEY"), asked_rows(1, missing=(0,)))
    assert text["text"] is None
    assert "NO_SUCH_KEY" in text["failure"]


def test_an_unreadable_image_is_the_rows_failure():
    rows = asked_rows(1, missing=(0, 1))
    rows[0]["images"] = [{"bytes": b"no image"}]
    texts = ask(Endpoint(["http://127.0.0.1:9/v1"]), rows)
    assert [text["number"] for text in texts] == [0, 1]
    assert all("unreadable image" in text["failure"] and text["text"] is None for text in texts)


def test_a_flood_is_cut(monkeypatch):
    monkeypatch.setattr(rollout_engines, "MAX_TEXT", 1000)
    with judge_endpoint(Script(answer=lambda case: "x" * 5000)) as server:
        (text,) = ask(Endpoint([server.url]), asked_rows(1, missing=(0,)))
    assert len(text["text"]) == 1000


# ---------------------------------------------------------------------- vLLM's processor: what goes in and comes out


def test_a_row_becomes_one_request_a_missing_rollout():
    row = asked_rows(1, missing=(1, 3))[0]
    requests = single_rollouts(row)
    assert [request["number"] for request in requests] == [1, 3]
    asked = vllm_request(requests[1], SAMPLING)
    assert asked["messages"] == chat_messages(row["prompt"], row["images"])
    assert asked["sampling_params"] == {"temperature": 1.0, "max_tokens": 1024, "seed": SAMPLING.seed_of(row["key"], 3)}


def test_replies_and_failures_become_texts():
    request = single_rollouts(asked_rows(1, missing=(0,))[0])[0]
    reply = vllm_reply(request | {"generated_text": said("left"), "__inference_error__": ""})
    assert vllm_reply(reply | {"__inference_error__": ""}) == reply
    assert measure(reply).correct
    failed = vllm_reply(request | {"generated_text": "", "__inference_error__": "OutOfMemory:\n too long"})
    assert (failed["text"], failed["failure"]) == (None, "OutOfMemory: too long")


def test_the_processor_accepts_the_configuration():
    llm = pytest.importorskip("ray.data.llm")
    config = llm.vLLMEngineProcessorConfig(**Vllm(workers=2, gpus=4).config(SAMPLING))
    assert config.model_source == "base"
    assert config.engine_kwargs["tensor_parallel_size"] == 4
    assert config.get_concurrency() == {"min_size": 2, "max_size": 2}


# ---------------------------------------------------------------------- the stage, with the rollouts known


def measured(tmp_path, right_by_source):
    """Folders whose rows have so many right rollouts each, all of them in the ledger."""
    folders, outcomes = {}, []
    for source, right in right_by_source.items():
        folders[source] = made_folder(tmp_path / source, [made_row(i, source=source) for i in range(len(right))])
        for i, count in enumerate(right):
            key = f"{source}/train/{i}"
            outcomes += [Outcome(key, n, n < count, "left" if n < count else "right") for n in range(4)]
    ledger = Ledger(tmp_path / "out" / "rollouts.jsonl", difficulty._settings(folders, SAMPLING))
    ledger.add(outcomes)
    ledger.close()
    return list(folders.values())


def nobody():
    return Endpoint(["http://127.0.0.1:9/v1"])


def test_every_row_is_kept_or_rejected_with_its_reason(tmp_path):
    folders = measured(tmp_path, {"sat": [0, 1, 4, 2, 3, 4, 0], "vgr": [4, 4]})
    summaries = filter_by_difficulty(folders, tmp_path / "out", nobody(), SAMPLING, Keep(extremes=0.0))
    kept = [row["extra_info"]["index"] for row in read_rows(tmp_path / "out" / "sat")]
    assert kept == [1, 3, 4]
    rejects = [(reject["row"], reject["reason"]) for reject in read_rejects(tmp_path / "out" / "sat")]
    assert rejects == [(0, "always_wrong"), (2, "always_right"), (5, "always_right"), (6, "always_wrong")]
    sat = summaries["sat"]
    assert (sat["in"], sat["out"], sat["rejected"]) == (7, 3, {"always_right": 2, "always_wrong": 2})
    assert sat["rows_by_right_rollouts"] == {"0": 2, "1": 1, "2": 1, "3": 1, "4": 2}
    assert sat["kept_by_right_rollouts"] == {"1": 1, "2": 1, "3": 1}
    assert report(summaries) == [
        "sat: 7 in = 3 out + 4 rejected (2 always_right, 28.6%; 2 always_wrong, 28.6%)",
        "vgr: 2 in = 0 out + 2 rejected (2 always_right, 100.0%)",
    ]


def test_a_finished_stage_is_left_alone(tmp_path):
    folders = measured(tmp_path, {"sat": [1, 2]})
    first = filter_by_difficulty(folders, tmp_path / "out", nobody(), SAMPLING, Keep())
    shard = tmp_path / "out" / "sat" / "rows-00000.parquet"
    shard.write_bytes(b"untouched")
    assert filter_by_difficulty(folders, tmp_path / "out", nobody(), SAMPLING, Keep()) == first
    assert shard.read_bytes() == b"untouched"
    with pytest.raises(ValueError, match=r"begun with other settings \(extremes=0.1, now "):
        filter_by_difficulty(folders, tmp_path / "out", nobody(), SAMPLING, Keep(extremes=0.2))


def test_outcomes_of_another_input_or_model_are_refused(tmp_path):
    folders = measured(tmp_path, {"sat": [1, 2]})
    with pytest.raises(ValueError, match=r"begun with other settings \(model='base', now 'other'\)"):
        filter_by_difficulty(folders, tmp_path / "out", nobody(), Sampling("other"), Keep())
    made_folder(tmp_path / "more" / "sat", [made_row(i) for i in range(3)])
    with pytest.raises(ValueError, match=r"begun with other settings \(inputs="):
        filter_by_difficulty([tmp_path / "more" / "sat"], tmp_path / "out", nobody(), SAMPLING, Keep())


def test_folders_of_one_name_are_refused(tmp_path):
    with pytest.raises(ValueError, match="same name"):
        filter_by_difficulty([tmp_path / "a" / "sat", tmp_path / "b" / "sat"], tmp_path, nobody(), SAMPLING, Keep())


class Texts:
    """Stands for the pipeline: gives every pending rollout, those of some rows as failed."""

    def __init__(self, failing):
        self.failing, self.asked = failing, []

    def __call__(self, sources, pending, asked, sampling):
        truth = {"ground_truth": "left", "choices": ["left", "right"]}
        for key, numbers in pending.items():
            self.asked += [(key, number) for number in numbers]
            yield [
                {"key": key, "number": number, **truth, "text": None, "failure": "http://x answered 500"}
                if key in self.failing and number == 2
                else {"key": key, "number": number, **truth, "text": said(("left", "right")[number % 2]), "failure": ""}
                for number in numbers
            ]


@pytest.fixture
def pipeline(monkeypatch):
    texts = Texts(failing=set())
    monkeypatch.setattr(difficulty, "rollout_texts", texts)
    monkeypatch.setattr(difficulty, "ray_cluster", nullcontext)
    return texts


def test_a_row_that_lacks_a_rollout_is_rejected_with_the_cause(tmp_path, pipeline):
    folder = made_folder(tmp_path / "sat", [made_row(i) for i in range(20)])
    pipeline.failing = {"sat/train/3"}
    summary = filter_by_difficulty([folder], tmp_path / "out", nobody(), SAMPLING, Keep())["sat"]
    (reject,) = read_rejects(tmp_path / "out" / "sat")
    assert (reject["row"], reject["reason"], reject["detail"]) == (3, "rollout_failed", "http://x answered 500")
    assert (summary["in"], summary["out"], summary["rollouts_measured"]) == (20, 19, 79)
    assert summary["rows_by_right_rollouts"] == {"2": 19}


def test_a_kill_while_rows_are_written_changes_nothing_even_if_a_failed_call_would_work_now(
    tmp_path, pipeline, monkeypatch
):
    folder = made_folder(tmp_path / "sat", [made_row(i) for i in range(20)])
    pipeline.failing = {"sat/train/3"}
    filter_by_difficulty([folder], tmp_path / "whole", nobody(), SAMPLING, Keep())

    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(difficulty, "_select", killed)
        with pytest.raises(KeyboardInterrupt):
            filter_by_difficulty([folder], tmp_path / "cut", nobody(), SAMPLING, Keep())
    pipeline.failing, pipeline.asked = set(), []
    filter_by_difficulty([folder], tmp_path / "cut", nobody(), SAMPLING, Keep())
    assert pipeline.asked == []
    for name in ("rows-00000.parquet", "rejects-00000.jsonl"):
        assert (tmp_path / "cut" / "sat" / name).read_bytes() == (tmp_path / "whole" / "sat" / name).read_bytes()


def test_too_many_failed_rows_stop_the_stage_and_only_what_failed_is_asked_again(tmp_path, pipeline):
    folder = made_folder(tmp_path / "sat", [made_row(i) for i in range(20)])
    pipeline.failing = {"sat/train/18", "sat/train/19"}
    with pytest.raises(
        TooManyFailed, match=r"2 of 20 rows lack a rollout, more than max_failed=0\.05 .* 2 of them: http"
    ):
        filter_by_difficulty([folder], tmp_path / "out", nobody(), SAMPLING, Keep())
    assert not list((tmp_path / "out" / "sat").glob("rows-*"))
    pipeline.failing, pipeline.asked = set(), []
    summary = filter_by_difficulty([folder], tmp_path / "out", nobody(), SAMPLING, Keep())["sat"]
    assert pipeline.asked == [("sat/train/18", 2), ("sat/train/19", 2)]
    assert summary["out"] == 20


def test_a_model_that_does_not_answer_in_the_format_is_said_to(tmp_path):
    folder = made_folder(tmp_path / "sat", [made_row(0)])
    ledger = Ledger(tmp_path / "out" / "rollouts.jsonl", difficulty._settings({"sat": folder}, SAMPLING))
    ledger.add(Outcome("sat/train/0", n, False, None) for n in range(4))
    ledger.close()
    lines = report(filter_by_difficulty([folder], tmp_path / "out", nobody(), SAMPLING, Keep()))
    assert lines[1].startswith("warning: sat: only 0 of 4 rollouts have an <answer>")


def test_without_an_endpoint_and_vllm_the_command_says_what_to_give(tmp_path):
    if find_spec("vllm"):
        pytest.skip("vLLM is installed")
    command = [
        sys.executable,
        "-m",
        "easyr1_fgrpo",
        "data",
        "difficulty",
        "sat",
        "--out",
        str(tmp_path),
        "--model",
        "m",
    ]
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, env=environment)
    assert done.returncode == 1
    assert done.stderr.startswith("error: vLLM is not installed here: give --base-url")
    assert done.stderr.count("\n") == 1
