"""What a model judge is sent, and what its answers become."""

import asyncio
import base64
import io
import json

import pytest
from judge_endpoint import Script, answers_of, judge_endpoint
from PIL import Image

from easyr1_fgrpo.config.judges import ModelJudgeConfig
from easyr1_fgrpo.judges.openai_compatible import OpenAICompatibleJudge
from easyr1_fgrpo.judges.protocol import Failure, Judge, JudgeRequest, Label, Question, RolloutJudge, Usage, Verdict

from .model_judge import CHOICE, RED, asked, claims, judging

pytestmark = pytest.mark.usefixtures("no_back_off")


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
    assert verdict.usage.seconds > 0.0
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
    monkeypatch.setattr(
        "easyr1_fgrpo.model_client.pictures.judged_file", lambda image: encoded.append(image) or (b"x", "image/png")
    )
    same = RED.copy()
    with judge_endpoint(Script(answer=lambda case: "CORRECT")) as server:
        async with judging(server) as judge:
            for image in (RED, same):
                claims = [JudgeRequest(Question.GROUNDING, "?", (image,), claim=f"{n} birds.") for n in range(8)]
                await asyncio.gather(*map(judge.ask, claims))
    assert len(encoded) == 1


class Recorder:
    """A judge behind the server; the last word of a question's claim or answer is its label."""

    name = "recorder"

    def __init__(self):
        self.requests = []

    async def ask(self, request):
        self.requests.append(request)
        return Verdict(Label((request.claim or request.answer).split()[-1]), self.name)


async def test_a_judge_behind_the_server_sees_what_was_asked():
    for per_rollout in [False, True]:
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
                assert (await judge.ask(consistency)).label is Label.UNCERTAIN, per_rollout
        assert [verdict.label for verdict in verdicts] == [Label.SKIP, Label.CORRECT, Label.INCORRECT], per_rollout
        for seen, request in zip(recorder.requests, [*asking, consistency], strict=True):
            assert [image.tobytes() for image in seen.images] == [image.tobytes() for image in request.images], (
                per_rollout
            )
            assert (seen.kind, seen.question, seen.context) == (request.kind, request.question, request.context), (
                per_rollout
            )
            assert (seen.claim, seen.answer) == (request.claim, request.answer), per_rollout


def test_it_is_a_judge_of_rollouts():
    config = ModelJudgeConfig(kind="openai_compatible", model="m", base_urls=["http://a/v1"])
    judge = OpenAICompatibleJudge(config, urls=None)
    assert isinstance(judge, Judge)
    assert isinstance(judge, RolloutJudge)
    assert not judge.per_rollout


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


async def test_an_invalid_list_leaves_no_verdict_of_the_rollout():
    for text in ['["CORRECT", "SKIP"]', '["CORRECT", "SKIP", "YES"]', "CORRECT", "[" * 100_000]:
        with judge_endpoint(Script(answer=lambda case, text=text: text)) as server:
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
