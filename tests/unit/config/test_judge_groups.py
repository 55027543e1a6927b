import re
from pathlib import Path

import pytest
from pydantic import ValidationError

import easyr1_fgrpo.config
from easyr1_fgrpo.config.judges import VllmServerConfig
from easyr1_fgrpo.config.load import ConfigError, load_config, read_settings
from easyr1_fgrpo.config.schema import FgrpoConfig

GROUPS = sorted(path.stem for path in (Path(easyr1_fgrpo.config.__file__).parent / "judge").glob("*.yaml"))

# What a user has to say; every other group is complete.
ENDPOINT = ["judge_endpoint.model=my/model", "judge_endpoint.base_urls=[http://a:8000/v1,http://b:8000/v1/]"]
NEEDED = {"openai_compatible": ENDPOINT}


def settings(group: str, *overrides: str) -> FgrpoConfig:
    return read_settings(load_config([f"judge={group}", *overrides]))


def test_a_group_says_who_answers_both_questions_and_launches_what_they_need_only():
    for group in sorted({*GROUPS} - {"conclusion"}):
        chosen = settings(group, *NEEDED.get(group, []))
        assert set(chosen.judges) == {"consistency", "grounding"}, group
        asked = {judge.server for judge in chosen.judges.values() if getattr(judge, "server", "")}
        assert asked == set(chosen.reward_servers), group


def test_the_rule_judges_consistency_alone_and_is_what_own_rows_get_when_nobody_is_named():
    own = ["dataset=own", "own.train=t.parquet", "own.val=v.parquet", "own.name=cups"]
    for chosen in (settings("conclusion"), read_settings(load_config(own))):
        assert set(chosen.judges) == {"consistency"}
        assert chosen.constraint_keys == ["consistency"]
        assert chosen.reward_servers == {}
    named = read_settings(load_config([*own, "judge=openai_compatible", *ENDPOINT]))
    assert set(named.judges) == {"consistency", "grounding"}
    assert named.constraint_keys == ["consistency", "spatial_grounding", "semantic_grounding"]
    assert named.run_dir == "runs/fgrpo_cups-s0"


def test_two_values_are_enough_to_ask_any_endpoint():
    chosen = settings("openai_compatible", *ENDPOINT)
    for judge in chosen.judges.values():
        assert (judge.model, judge.base_urls) == ("my/model", ["http://a:8000/v1", "http://b:8000/v1"])


def test_an_endpoint_that_is_not_named_is_asked_for(subtests):
    for given, missing in [(ENDPOINT[:1], "base_urls"), (ENDPOINT[1:], "model")]:
        with subtests.test(given=given):
            with pytest.raises(ConfigError) as refused:
                settings("openai_compatible", *given)
            (line,) = refused.value.lines
            assert f"judge_endpoint.{missing}" in line


def test_the_training_judge_is_the_papers():
    chosen = settings("qwen3_vl_30b")
    server = chosen.reward_servers["qwen3_vl_30b"]
    assert server.model == "Qwen/Qwen3-VL-30B-A3B-Instruct"
    assert {judge.model for judge in chosen.judges.values()} == {server.model}
    assert chosen.judges["grounding"].coordinates == "thousand"


def test_another_model_on_the_server_is_also_the_one_that_is_asked():
    chosen = settings("qwen3_vl_30b", "fgrpo.reward_servers.qwen3_vl_30b.model=other/model")
    assert {judge.model for judge in chosen.judges.values()} == {"other/model"}


def test_a_server_reserves_the_gpus_that_vllm_is_split_over():
    def served(tensor_parallel_size=2, num_gpus=None, **arguments):
        size = {"tensor_parallel_size": tensor_parallel_size, "num_gpus": num_gpus}
        return VllmServerConfig(kind="vllm", model="m", arguments=arguments, **size)

    assert served().gpus == 2
    assert served(**{"pipeline-parallel-size": 2}).gpus == 4
    assert served(**{"data-parallel-size": 3}, pipeline_parallel_size=2).gpus == 12
    assert served(num_gpus=0.0).gpus == 0, "a CPU build"
    assert served(1, num_gpus=0.5).gpus == 0.5
    for given, said in (
        ({"num_gpus": 1.0}, "num_gpus=1: vLLM is split over 2 GPUs"),
        ({"num_gpus": 2.0, "pipeline-parallel-size": 2}, "num_gpus=2: vLLM is split over 4 GPUs"),
        ({"num_gpus": 2.5}, "num_gpus=2.5: Ray gives whole GPUs, or a part of one"),
        ({"tensor-parallel-size": 4}, "arguments.tensor-parallel-size=4: say it as tensor_parallel_size"),
        ({"data-parallel-size": "two"}, "arguments.data-parallel-size=two: give a whole number from 1 on"),
    ):
        with pytest.raises(ValidationError, match=re.escape(said)):
            served(**given)
    with pytest.raises(ConfigError) as refused:
        settings("qwen3_vl_30b", "fgrpo.reward_servers.qwen3_vl_30b.num_gpus=1")
    assert refused.value.lines[0].startswith("fgrpo.reward_servers.qwen3_vl_30b: num_gpus=1: vLLM is split over 2")


def test_the_hosted_judge_is_the_papers_evaluation_judge():
    judge = settings("hosted").judges["grounding"]
    assert judge.model == "gpt-5.4"
    assert judge.parameters == {"max_completion_tokens": 1024, "reasoning_effort": "medium"}
    assert judge.api_key_env == "OPENAI_API_KEY"
    assert not judge.structured_outputs
    # One dollar buys 400,000 tokens of prompt.
    assert judge.price.prompt == 1e6 / 400_000


def test_the_text_model_judges_consistency_alone():
    chosen = settings("consistency_text")
    assert chosen.judges["consistency"].model == "Qwen/Qwen3-4B-Instruct-2507"
    assert chosen.judges["grounding"] == settings("qwen3_vl_30b").judges["grounding"]
