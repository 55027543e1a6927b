# Every test asks a real server on loopback; see tests/judge_endpoint.py for what it can do wrong.
import asyncio
import base64
import gc
import io
import json
import logging
import socket
import time
from contextlib import asynccontextmanager
from email.utils import formatdate
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from judge_endpoint import Script, answers_of, judge_endpoint
from PIL import Image

from easyr1_fgrpo.config.judges import ModelJudgeConfig
from easyr1_fgrpo.judges import chat, endpoints, openai_compatible
from easyr1_fgrpo.judges.cache import VerdictCache
from easyr1_fgrpo.judges.chat import MAX_TEXT
from easyr1_fgrpo.judges.openai_compatible import OpenAICompatibleJudge
from easyr1_fgrpo.judges.protocol import Failure, Judge, JudgeRequest, Label, Question, RolloutJudge, Usage, Verdict

RED = Image.new("RGB", (20, 10), "red")
CLAIM = JudgeRequest(Question.GROUNDING, "Which is nearer?", (RED,), context="I look.", claim="The square is red.")
CHOICE = JudgeRequest(Question.CONSISTENCY, "Which is nearer?", context="So it is A.", answer="A")
KEY = "sk-judge-0123456789abcdef"


@pytest.fixture(autouse=True)
def no_back_off(monkeypatch):
    monkeypatch.setattr(openai_compatible, "BACK_OFF", lambda state: 0.0)


@asynccontextmanager
async def judging(*servers, cache=None, share=(0, 1), **config):
    """A judge of these servers (or URLs)."""
    urls = [server if isinstance(server, str) else server.url for server in servers]

    async def look_up():
        return urls

    settings = ModelJudgeConfig(kind="openai_compatible", model="tiny-judge", base_urls=urls, **config)
    judge = OpenAICompatibleJudge(settings, urls=look_up, share=share, cache=cache)
    try:
        yield judge
    finally:
        await judge.close()


async def asked(script, request=CLAIM, **config):
    with judge_endpoint(script) as server:
        async with judging(server, **config) as judge:
            return await judge.ask(request), server


def dead_url():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"http://127.0.0.1:{listening.getsockname()[1]}/v1"


# ---------------------------------------------------------------------- asking


async def test_what_is_sent_and_what_comes_back():
    verdict, server = await asked(
        Script(tokens=(1000, 10)),
        parameters={"temperature": 0.0, "max_completion_tokens": 5, "reasoning_effort": "low"},
        price={"prompt": 2.0, "completion": 8.0},
    )
    assert (verdict.label, verdict.judge, verdict.text, verdict.failure) == (
        Label.CORRECT,
        "tiny-judge",
        "CORRECT",
        None,
    )
    assert verdict.usage.dollars == pytest.approx(0.00208)
    assert 0.0 < verdict.usage.seconds < 10.0
    assert (verdict.usage.calls, verdict.usage.retries, verdict.usage.cached) == (1, 0, 0)
    assert (verdict.usage.prompt_tokens, verdict.usage.completion_tokens) == (1000, 10)
    [body], [headers] = server.bodies, server.headers
    assert body["model"] == "tiny-judge"
    assert (body["temperature"], body["max_completion_tokens"], body["reasoning_effort"]) == (0.0, 5, "low")
    assert "max_tokens" not in body  # the config has a limit of its own
    assert set(body["structured_outputs"]["choice"]) == {"CORRECT", "INCORRECT", "SKIP"}
    assert headers["authorization"] == "Bearer none"
    system, user = body["messages"]
    assert (system["role"], user["role"]) == ("system", "user")
    scheme, _, data = user["content"][0]["image_url"]["url"].partition(",")
    assert scheme == "data:image/png;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).tobytes() == RED.tobytes()
    assert "The square is red." in user["content"][-1]["text"]


async def test_consistency_is_asked_without_images():
    verdict, server = await asked(Script(answer=lambda case: "UNCERTAIN"), CHOICE)
    assert verdict.label is Label.UNCERTAIN
    assert [part["type"] for part in server.bodies[0]["messages"][1]["content"]] == ["text"]


async def test_servers_without_structured_outputs_are_not_told_of_them():
    _, server = await asked(Script(), structured_outputs=False)
    assert "structured_outputs" not in server.bodies[0]
    assert server.bodies[0]["max_tokens"] == 16


async def test_text_that_looks_like_an_image_name_stays_text():
    named = JudgeRequest(Question.GROUNDING, "?", (RED,), claim='"sha256:' + "0" * 64 + '"')
    with judge_endpoint() as server:
        async with judging(server) as judge:
            name = f"sha256:{await judge._images.content_hash(RED)}"
            await judge.ask(JudgeRequest(Question.GROUNDING, f'"{name}"', (RED,), claim=name))
            await judge.ask(named)
    assert all(body["messages"][1]["content"][0]["image_url"]["url"].startswith("data:") for body in server.bodies)
    assert server.bodies[0]["messages"][1]["content"][-1]["text"].count(name) == 2


async def test_a_picture_is_encoded_once_for_all_its_questions(monkeypatch):
    encoded = []
    monkeypatch.setattr("easyr1_fgrpo.judges.images._data_url", lambda image: encoded.append(image) or "data:,x")
    same = RED.copy()
    with judge_endpoint(Script(answer=lambda case: "CORRECT")) as server:
        async with judging(server) as judge:
            for image in (RED, same):
                claims = [JudgeRequest(Question.GROUNDING, "?", (image,), claim=f"{n} birds.") for n in range(8)]
                await asyncio.gather(*map(judge.ask, claims))
    assert len(encoded) == 1


async def test_a_large_picture_leaves_the_event_loop_free():
    noise = Image.effect_noise((1200, 1200), 80).convert("RGB")
    with judge_endpoint(Script(answer=lambda case: "CORRECT")) as server:
        async with judging(server) as judge:
            await judge.ask(CLAIM)
            started = time.monotonic()
            asking = asyncio.create_task(judge._images.data_url(noise))
            longest = 0.0
            while not asking.done():
                tick = time.monotonic()
                await asyncio.sleep(0.001)
                longest = max(longest, time.monotonic() - tick)
    assert longest < 0.5 * (time.monotonic() - started)


class Recorder:
    """A judge behind the server; the last word of a question's claim or answer is its label."""

    name = "recorder"

    def __init__(self):
        self.requests = []

    async def ask(self, request):
        self.requests.append(request)
        return Verdict(Label((request.claim or request.answer).split()[-1]), self.name)


@pytest.mark.parametrize("per_rollout", [False, True])
async def test_a_judge_behind_the_server_sees_what_was_asked(per_rollout):
    sentences = ["A cat, seen at <bbox>[1,2,10,9.5]</bbox>: SKIP", 'It is "red"\n CORRECT', "Over there INCORRECT"]
    trace = " ".join(sentences)
    asking = [
        JudgeRequest(Question.GROUNDING, "Where?", (RED,), context=trace[: trace.index(claim)], claim=claim)
        for claim in sentences
    ]
    consistency = JudgeRequest(Question.CONSISTENCY, "Where?", context=trace, answer="UNCERTAIN")
    recorder = Recorder()
    with judge_endpoint(Script(answer=answers_of(recorder))) as server:
        async with judging(server, per_rollout=per_rollout, concurrency=1) as judge:
            verdicts = await judge.ask_all(asking)
            assert (await judge.ask(consistency)).label is Label.UNCERTAIN
    assert [verdict.label for verdict in verdicts] == [Label.SKIP, Label.CORRECT, Label.INCORRECT]
    for seen, request in zip(recorder.requests, [*asking, consistency], strict=True):
        assert [image.tobytes() for image in seen.images] == [image.tobytes() for image in request.images]
        assert (seen.kind, seen.question, seen.context) == (request.kind, request.question, request.context)
        assert (seen.claim, seen.answer) == (request.claim, request.answer)


def test_it_is_a_judge_of_rollouts():
    config = ModelJudgeConfig(kind="openai_compatible", model="m", base_urls=["http://a/v1"])
    judge = OpenAICompatibleJudge(config, urls=None)
    assert isinstance(judge, Judge)
    assert isinstance(judge, RolloutJudge)
    assert not judge.per_rollout


# ---------------------------------------------------------------------- failures


@pytest.mark.parametrize("trouble", ["408", "409", "429", "500", "502", "503", "drop", "half", "broken", "empty"])
async def test_passing_trouble_is_repeated(trouble):
    verdict, server = await asked(Script(first=[trouble, trouble]))
    assert verdict.label is Label.CORRECT
    assert (verdict.usage.calls, verdict.usage.retries) == (3, 2)
    assert server.counts == {trouble: 2, "answer": 1}


@pytest.mark.parametrize(
    ("trouble", "cause"),
    [
        ("429", "answered 429"),
        ("500", "answered 500"),
        ("drop", "broke the connection"),
        ("half", "broke the connection"),
        ("broken", "answered with no chat completion"),
        ("empty", "lacks choices[0].message.content"),
    ],
)
async def test_lasting_trouble_ends_after_the_retries(trouble, cause):
    verdict, server = await asked(Script(shares={trouble: 1.0}), max_retries=2)
    assert (verdict.label, verdict.failure) == (None, Failure.UNREACHABLE)
    assert server.url in verdict.cause
    assert cause in verdict.cause
    assert verdict.cause.endswith("(after 3 calls)")
    assert (verdict.usage.calls, verdict.usage.retries, server.calls) == (3, 2, 3)


@pytest.mark.parametrize("status", ["400", "401", "403", "404", "422"])
async def test_a_refusal_is_not_repeated(status):
    verdict, server = await asked(Script(shares={status: 1.0}, says="no such model"))
    assert verdict.failure is Failure.UNREACHABLE
    assert f"answered {status}" in verdict.cause
    assert "no such model" in verdict.cause
    assert server.calls == verdict.usage.calls == 1


@pytest.mark.parametrize("behaviour", ["text", "wrong", "null"])
async def test_an_answer_that_is_no_label_is_invalid_and_not_repeated(behaviour):
    verdict, server = await asked(Script(shares={behaviour: 1.0}))
    assert (verdict.label, verdict.failure) == (None, Failure.INVALID)
    assert verdict.text == {"text": "Well, that depends on how one looks at it.", "wrong": "YES", "null": ""}[behaviour]
    assert ("cut off" in verdict.cause) == (behaviour == "null")
    assert server.calls == verdict.usage.calls == 1
    assert verdict.usage.prompt_tokens == 100


@pytest.mark.parametrize("text", ["x" * 100_000, "\ud800 \x1b[31m", "YES\nCORRECT"])
async def test_hostile_answers_are_kept_bounded_and_encodable(text):
    verdict, _ = await asked(Script(answer=lambda case: text))
    assert verdict.failure is Failure.INVALID
    assert len(verdict.text.encode()) <= MAX_TEXT


async def test_a_hostile_error_body_gives_a_short_clean_cause():
    verdict, _ = await asked(Script(shares={"400": 1.0}, says="\x1b[31m\u202e\nline\n" + "y" * 100_000))
    assert verdict.cause.isprintable()
    assert len(verdict.cause) < 500


async def test_nobody_listens():
    async with judging(url := dead_url(), max_retries=1) as judge:
        verdict = await judge.ask(CLAIM)
    assert verdict.failure is Failure.UNREACHABLE
    assert url in verdict.cause
    assert verdict.usage.calls == 0  # nothing was sent


async def test_a_dead_url_costs_no_verdict():
    with judge_endpoint() as server:
        async with judging(dead_url(), server, concurrency=4) as judge:
            verdicts = await asyncio.gather(*(judge.ask(CLAIM) for _ in range(40)))
    assert {verdict.label for verdict in verdicts} == {Label.CORRECT}
    assert sum(verdict.usage.calls for verdict in verdicts) == server.calls == 40


async def test_retry_after_is_honoured():
    started = time.monotonic()
    verdict, _ = await asked(Script(first=["429"], retry_after="1"))
    assert verdict.label is Label.CORRECT
    assert 1.0 <= time.monotonic() - started < 5.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("3", 3.0), ("0", 0.0), ("99999", 30.0), ("-4", 0.0), ("soon", 0.0), ("", 0.0), ("1e400", 0.0), ("٣", 3.0)],
)
def test_retry_after_in_seconds(header, seconds):
    assert chat._retry_after_s(header) == seconds


def test_retry_after_as_a_date():
    assert 8.0 < chat._retry_after_s(formatdate(time.time() + 10, usegmt=True)) <= 10.0
    assert chat._retry_after_s(formatdate(time.time() - 10, usegmt=True)) == 0.0


async def test_a_judge_does_not_raise(monkeypatch, caplog):
    monkeypatch.setenv("JUDGE_KEY", KEY)
    with judge_endpoint() as server:
        async with judging(server, api_key_env="JUDGE_KEY") as judge:
            await judge.ask(CLAIM)

            async def raising(*_):
                raise RuntimeError(f"cannot send {KEY}\nnow")

            judge._chat.complete = raising
            verdict = await judge.ask(CLAIM)
    assert verdict.failure is Failure.UNREACHABLE
    assert verdict.cause == "RuntimeError: cannot send *** now"
    assert "in raising" in caplog.text
    assert KEY not in caplog.text


# ---------------------------------------------------------------------- time


async def test_a_call_that_hangs_is_given_up_and_repeated():
    verdict, server = await asked(Script(first=["hang"]), deadline_s=0.3)
    assert verdict.label is Label.CORRECT
    assert verdict.usage.calls == server.calls == 2


async def test_calls_that_hang_end_as_a_deadline():
    verdict, server = await asked(Script(shares={"hang": 1.0}), deadline_s=0.3, max_retries=1)
    assert verdict.failure is Failure.DEADLINE
    assert "gave no answer within 0.3 s" in verdict.cause
    assert verdict.usage.calls == server.calls == 2


@pytest.mark.parametrize("script", [Script(shares={"hang": 1.0}), Script(shares={"429": 1.0}, retry_after="20")])
async def test_the_answer_comes_before_the_questions_time_is_over(script):
    started = time.monotonic()
    verdict, server = await asked(script, JudgeRequest(Question.GROUNDING, "?", claim="A bird.", time_left_s=0.5))
    assert time.monotonic() - started < 2.0
    assert verdict.usage.seconds < 0.5
    assert verdict.label is None
    assert verdict.usage.calls == server.calls == 1


async def test_waiting_for_a_place_ends_with_the_questions_time():
    quick = JudgeRequest(Question.GROUNDING, "?", claim="A bird.", time_left_s=0.3)
    with judge_endpoint(Script(shares={"hang": 1.0})) as server:
        async with judging(server, concurrency=1) as judge:
            first = asyncio.create_task(judge.ask(CLAIM))
            while not server.calls:
                await asyncio.sleep(0.01)
            verdict = await judge.ask(quick)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
    assert verdict.failure is Failure.DEADLINE
    assert "no call could start" in verdict.cause
    assert (verdict.usage.calls, server.calls) == (0, 1)


async def test_a_question_without_time_is_not_asked():
    verdict, server = await asked(Script(), JudgeRequest(Question.GROUNDING, "?", claim="A bird.", time_left_s=0.0))
    assert (verdict.failure, verdict.usage.calls, server.calls) == (Failure.DEADLINE, 0, 0)


async def test_cancellation_passes_and_frees_the_place():
    with judge_endpoint(Script(first=["hang"])) as server:
        async with judging(server, concurrency=1) as judge:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await judge.ask(CLAIM)
            assert (await judge.ask(CLAIM)).label is Label.CORRECT


async def test_a_dead_endpoint_costs_its_deadline_once(monkeypatch):
    monkeypatch.setattr(endpoints, "FAULTS_TO_OPEN", 3)
    with judge_endpoint(Script(shares={"hang": 1.0})) as server:
        async with judging(server, deadline_s=0.2, max_retries=5) as judge:
            await asyncio.gather(*(judge.ask(CLAIM) for _ in range(3)))
            calls, started = server.calls, time.monotonic()
            verdicts = [await judge.ask(CLAIM) for _ in range(20)]
            assert time.monotonic() - started < 0.2
    assert {verdict.failure for verdict in verdicts} == {Failure.UNREACHABLE}
    assert all(server.url in verdict.cause and "gave no answer" in verdict.cause for verdict in verdicts)
    assert server.calls == calls


async def test_a_server_that_comes_back_is_used_again(monkeypatch):
    monkeypatch.setattr(endpoints, "FIRST_COOL_DOWN_S", 0.1)
    with judge_endpoint() as server:
        port = urlsplit(server.url).port
        async with judging(server) as judge:
            assert (await judge.ask(CLAIM)).label
    async with judging(server) as judge:
        while_down = [await judge.ask(CLAIM) for _ in range(5)]
        with judge_endpoint(port=port):
            await asyncio.sleep(0.15)
            assert (await judge.ask(CLAIM)).label
    assert {verdict.failure for verdict in while_down} == {Failure.UNREACHABLE}
    assert "is left out for" in while_down[-1].cause


# ---------------------------------------------------------------------- concurrency


async def test_the_limit_holds_per_url():
    with judge_endpoint(Script(delay_s=0.02)) as first, judge_endpoint(Script(delay_s=0.02)) as second:
        async with judging(first, second, concurrency=5) as judge:
            await asyncio.gather(*(judge.ask(CLAIM) for _ in range(60)))
    assert first.most_at_once == second.most_at_once == 5
    assert first.calls + second.calls == 60
    assert min(first.calls, second.calls) >= 20


async def test_a_large_limit_is_not_cut_by_the_connection_pool():
    with judge_endpoint(Script(delay_s=1.0)) as server:
        async with judging(server, concurrency=120) as judge:
            await asyncio.gather(*(judge.ask(CLAIM) for _ in range(130)))
    assert server.most_at_once == 120


async def test_workers_share_the_limit():
    with judge_endpoint(Script(delay_s=0.03)) as server:
        async with (
            judging(server, concurrency=5, share=(0, 2)) as one,
            judging(server, concurrency=5, share=(1, 2)) as two,
        ):
            await asyncio.gather(*(judge.ask(CLAIM) for judge in (one, two) for _ in range(20)))
    assert server.most_at_once == 5


@given(st.integers(1, 200), st.integers(1, 50))
def test_shares_add_up(concurrency, workers):
    if concurrency < workers:
        with pytest.raises(
            ValueError, match=rf"concurrency={concurrency}: {workers} reward workers.*set it to {workers}"
        ):
            openai_compatible._share_of(concurrency, 0, workers)
    else:
        shares = [openai_compatible._share_of(concurrency, worker, workers) for worker in range(workers)]
        assert sum(shares) == concurrency
        assert max(shares) - min(shares) <= 1


async def test_a_judge_of_one_question():
    config = ModelJudgeConfig(kind="openai_compatible", model="m", base_urls=["http://a/v1"])
    judge = OpenAICompatibleJudge(config, urls=None, questions=[Question.GROUNDING])
    verdict = await judge.ask(CHOICE)
    assert (verdict.failure, verdict.cause) == (Failure.UNREACHABLE, "this judge was built without consistency prompt")


def test_a_prompt_that_cannot_be_used_is_refused(tmp_path):
    config = ModelJudgeConfig(
        kind="openai_compatible", model="m", base_urls=["http://a"], prompt=str(tmp_path / "none.jinja")
    )
    with pytest.raises(ValueError, match=r"none\.jinja"):
        OpenAICompatibleJudge(config, urls=None)


@pytest.mark.parametrize("name", ["model", "messages", "stream", "structured_outputs"])
def test_parameters_that_are_ours_are_refused(name):
    config = ModelJudgeConfig(kind="openai_compatible", model="m", base_urls=["http://a"], parameters={name: 1})
    with pytest.raises(ValueError, match=rf"parameters\.{name}: .*remove it"):
        OpenAICompatibleJudge(config, urls=None)


# ---------------------------------------------------------------------- the API key


async def test_the_key_is_sent_and_shown_nowhere(monkeypatch, caplog, tmp_path):
    monkeypatch.setenv("JUDGE_KEY", f"{KEY}\n")
    caplog.set_level(logging.DEBUG)
    says = "wrong key {key}, Bearer {key}"
    cache = VerdictCache(tmp_path, max_gib=0.1)
    with judge_endpoint(Script(first=["401", "500", "answer", "text"], says=says)) as server:
        server.script.answer = lambda case: KEY if len(server.bodies) > 3 else "CORRECT"
        async with judging(server, api_key_env="JUDGE_KEY", max_retries=0, cache=cache) as judge:
            verdicts = [await judge.ask(JudgeRequest(Question.GROUNDING, "?", claim=f"{n} birds.")) for n in range(5)]
            shown = repr(judge) + repr(vars(judge)) + repr(verdicts) + caplog.text
    assert {headers["authorization"] for headers in server.headers} == {f"Bearer {KEY}"}
    assert [verdict.failure for verdict in verdicts] == [
        Failure.UNREACHABLE,
        Failure.UNREACHABLE,
        None,
        Failure.INVALID,
        Failure.INVALID,
    ]
    assert "check the API key in JUDGE_KEY" in verdicts[0].cause
    assert verdicts[4].text == "***"
    assert "wrong key ***, Bearer ***" in shown
    assert KEY not in shown
    assert not any(KEY.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


async def test_a_missing_key_is_named_until_it_is_there(monkeypatch):
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    with judge_endpoint() as server:
        async with judging(server, api_key_env="JUDGE_KEY") as judge:
            verdict = await judge.ask(CLAIM)
            assert (verdict.failure, verdict.usage.calls, server.calls) == (Failure.UNREACHABLE, 0, 0)
            assert "JUDGE_KEY (api_key_env) is not set" in verdict.cause
            monkeypatch.setenv("JUDGE_KEY", KEY)
            assert (await judge.ask(CLAIM)).label is Label.CORRECT


# ---------------------------------------------------------------------- a rollout in one call


def claims(n):
    return [JudgeRequest(Question.GROUNDING, "?", (RED,), claim=f"There are {i} birds.") for i in range(n)]


async def test_a_rollout_in_one_call():
    labels = [Label.CORRECT, Label.SKIP, Label.INCORRECT]
    with judge_endpoint(Script(answer=lambda case: json.dumps(labels))) as server:
        async with judging(server, per_rollout=True) as judge:
            verdicts = await judge.ask_all(claims(3))
            assert await judge.ask_all([]) == []
    assert [verdict.label for verdict in verdicts] == labels
    assert [verdict.usage.calls for verdict in verdicts] == [1, 0, 0]
    assert verdicts[1].usage == verdicts[2].usage == Usage()
    assert server.calls == 1
    assert server.bodies[0]["structured_outputs"]["json"]["minItems"] == 3
    assert server.bodies[0]["max_tokens"] == 32  # 8 for each label and 8 around them


@pytest.mark.parametrize("text", ['["CORRECT", "SKIP"]', '["CORRECT", "SKIP", "YES"]', "CORRECT", "[" * 100_000])
async def test_an_invalid_list_leaves_no_verdict_of_the_rollout(text):
    with judge_endpoint(Script(answer=lambda case: text)) as server:
        async with judging(server, per_rollout=True) as judge:
            verdicts = await judge.ask_all(claims(3))
    assert [verdict.failure for verdict in verdicts] == [Failure.INVALID] * 3
    assert [verdict.usage.calls for verdict in verdicts] == [1, 0, 0]


async def test_consistency_is_asked_alone_also_by_a_judge_of_rollouts():
    with judge_endpoint() as server:
        async with judging(server, per_rollout=True) as judge:
            verdicts = await judge.ask_all([CHOICE, CHOICE])
    assert [verdict.label for verdict in verdicts] == [Label.YES] * 2
    assert server.calls == 2


# ---------------------------------------------------------------------- cache


async def test_a_known_verdict_is_not_asked_again(tmp_path):
    cache = VerdictCache(tmp_path, max_gib=0.1)
    with judge_endpoint() as server:
        async with judging(server, cache=cache) as judge:
            first = await judge.ask(CLAIM)
        async with judging(server, cache=VerdictCache(tmp_path, max_gib=0.1)) as judge:
            again = await judge.ask(JudgeRequest(**{**vars(CLAIM), "images": (RED.copy(),), "time_left_s": 9.0}))
    assert (again.label, again.text, again.judge) == (first.label, first.text, first.judge)
    assert (again.usage.cached, again.usage.calls, again.usage.prompt_tokens) == (1, 0, 0)
    assert server.calls == 1


async def test_whatever_changes_the_question_is_asked(tmp_path):
    changed = [
        CLAIM,
        JudgeRequest(**{**vars(CLAIM), "images": (Image.new("RGB", (20, 10), "blue"),)}),
        JudgeRequest(**{**vars(CLAIM), "images": (Image.new("RGB", (10, 20), "red"),)}),
        JudgeRequest(**{**vars(CLAIM), "question": "Which is farther?"}),
        JudgeRequest(**{**vars(CLAIM), "context": "I look again."}),
        JudgeRequest(**{**vars(CLAIM), "claim": "The square is blue."}),
        CHOICE,
    ]
    configs = [{}, {"parameters": {"temperature": 0.5}}, {"repetition": "incorrect"}, {"coordinates": "thousand"}]
    with judge_endpoint() as server:
        for n, config in enumerate(configs):
            async with judging(server, cache=VerdictCache(tmp_path, max_gib=0.1), **config) as judge:
                verdicts = [await judge.ask(request) for request in (changed if n == 0 else [CLAIM])]
                assert not any(verdict.usage.cached for verdict in verdicts)
    assert server.calls == len(changed) + len(configs) - 1


async def test_failures_are_not_kept(tmp_path):
    cache = VerdictCache(tmp_path, max_gib=0.1)
    with judge_endpoint(Script(first=["text", "400"])) as server:
        async with judging(server, cache=cache) as judge:
            verdicts = [await judge.ask(CLAIM) for _ in range(4)]
    assert [verdict.failure for verdict in verdicts] == [Failure.INVALID, Failure.UNREACHABLE, None, None]
    assert [verdict.usage.cached for verdict in verdicts] == [0, 0, 0, 1]


async def test_a_known_rollout_counts_every_verdict(tmp_path):
    with judge_endpoint() as server:
        async with judging(server, per_rollout=True, cache=VerdictCache(tmp_path, max_gib=0.1)) as judge:
            await judge.ask_all(claims(3))
            verdicts = await judge.ask_all(claims(3))
    assert [verdict.usage.cached for verdict in verdicts] == [3, 0, 0]
    assert [verdict.label for verdict in verdicts] == [Label.CORRECT] * 3


async def test_a_hanging_disk_costs_no_verdict(tmp_path, monkeypatch):
    monkeypatch.setattr(openai_compatible, "CACHE_WAIT_S", 0.05)
    cache = VerdictCache(tmp_path, max_gib=0.1)
    with judge_endpoint() as server:
        async with judging(server, cache=cache) as judge:
            await judge.ask(CHOICE)
            store = cache._store.set
            cache._store.set = lambda *entry: time.sleep(3.0) or store(*entry)
            verdict = await judge.ask(CLAIM)
    assert verdict.label is Label.CORRECT
    assert verdict.usage.seconds < 2.5


# ---------------------------------------------------------------------- everything at once

TROUBLE = ["429", "500", "503", "400", "drop", "half", "broken", "empty", "text", "wrong", "null", "hang"]


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shares=st.dictionaries(st.sampled_from(TROUBLE), st.floats(0.01, 0.15), max_size=6),
    seed=st.integers(0, 2**32),
    max_retries=st.integers(0, 3),
    per_rollout=st.booleans(),
)
def test_counts_add_up_and_no_label_is_invented(no_back_off, shares, seed, max_retries, per_rollout):
    async def run():
        script = Script(answer=lambda case: '["INCORRECT", "INCORRECT"]' if case.whole_rollout else "INCORRECT")
        script.shares, script.seed = shares, seed
        with judge_endpoint(script) as server:
            async with judging(
                server, deadline_s=0.8, max_retries=max_retries, concurrency=16, per_rollout=per_rollout
            ) as judge:
                answers = await asyncio.gather(*(judge.ask_all(claims(2)) for _ in range(40)))
        return [verdict for verdicts in answers for verdict in verdicts], server

    verdicts, server = asyncio.run(run())
    usage = sum((verdict.usage for verdict in verdicts), Usage())
    assert usage.calls == server.calls
    assert usage.retries <= usage.calls
    labelled = [verdict for verdict in verdicts if verdict.label]
    assert {verdict.label for verdict in labelled} <= {Label.INCORRECT}
    # An answer that comes after the deadline, as on a busy machine, is no label: its call is repeated or has failed.
    answered = server.counts["answer"] * (2 if per_rollout else 1)
    late = 2 * usage.retries + len(verdicts) - len(labelled)
    assert answered - late <= len(labelled) <= answered
    assert all(verdict.cause for verdict in verdicts if verdict.failure)


async def test_nothing_is_left_open(recwarn):
    with judge_endpoint() as server:
        async with judging(server) as judge:
            await judge.ask(CLAIM)
    del judge
    gc.collect()
    assert not [warning for warning in recwarn if "nclosed" in str(warning.message)]
