import asyncio
from typing import Any

import pytest

from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.judges.factory import build_judges, close
from easyr1_fgrpo.judges.openai_compatible import OpenAICompatibleJudge
from easyr1_fgrpo.judges.protocol import JudgeRequest, Label, Question, Verdict
from easyr1_fgrpo.judges.served import ServedJudge


class Yes:
    name = "yes"

    async def ask(self, request: JudgeRequest) -> Verdict:
        return Verdict(Label.YES, judge=self.name)


LOCAL = {"kind": "local", "target": f"{__name__}:Yes"}
SERVED = {"kind": "server", "server": "oracle"}
MODEL = {"kind": "openai_compatible", "model": "some-model", "base_urls": ["http://127.0.0.1:9/v1"]}


def settings(tmp_path, **judges: Any) -> FgrpoConfig:
    servers = {"oracle": {"kind": "embedded", "target": f"{__name__}:Yes"}}
    return FgrpoConfig.model_validate(
        {
            "run_dir": "runs/run",
            "constraint_keys": [],
            "constraints": {},
            "judges": judges,
            "reward_servers": servers,
            "judge_cache": {"directory": str(tmp_path / "cache")},
        }
    )


def test_each_question_gets_the_judge_its_config_names(tmp_path):
    judges = build_judges(settings(tmp_path, consistency=LOCAL, grounding=SERVED))
    assert isinstance(judges[Question.CONSISTENCY], Yes)
    served = judges[Question.GROUNDING]
    assert isinstance(served, ServedJudge)
    assert (served.name, served.namespace) == ("oracle", "fgrpo-run")


def test_a_question_without_a_config_has_no_judge(tmp_path):
    assert build_judges(settings(tmp_path)) == {}


def test_in_process_the_judge_of_an_embedded_server_is_built_here(tmp_path):
    judges = build_judges(settings(tmp_path, consistency=SERVED, grounding=SERVED), in_process=True)
    assert isinstance(judges[Question.GROUNDING], Yes)


def test_judges_that_are_configured_alike_are_one_and_share_its_concurrency(tmp_path):
    judges = build_judges(settings(tmp_path, consistency=MODEL, grounding=MODEL))
    assert isinstance(judges[Question.GROUNDING], OpenAICompatibleJudge)
    assert judges[Question.GROUNDING] is judges[Question.CONSISTENCY]
    other = build_judges(settings(tmp_path, consistency=MODEL, grounding=MODEL | {"coordinates": "thousand"}))
    assert other[Question.GROUNDING] is not other[Question.CONSISTENCY]


def test_a_model_that_nobody_serves_is_a_verdict_and_closing_is_possible(tmp_path):
    async def ask() -> Verdict:
        judges = build_judges(settings(tmp_path, consistency=MODEL | {"max_retries": 0}, grounding=LOCAL))
        try:
            return await judges[Question.CONSISTENCY].ask(
                JudgeRequest(Question.CONSISTENCY, "q", context="t", answer="a")
            )
        finally:
            await close(judges.values())

    verdict = asyncio.run(ask())
    assert verdict.label is None
    assert "127.0.0.1" in verdict.cause


def test_a_share_too_small_for_a_call_is_refused(tmp_path):
    with pytest.raises(ValueError, match="concurrency=2"):
        build_judges(settings(tmp_path, grounding=MODEL | {"concurrency": 2}), share=(0, 3))
