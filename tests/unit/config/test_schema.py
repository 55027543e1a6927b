import copy
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from easyr1_fgrpo.config.dual import CONTROLLER_OPTIONS
from easyr1_fgrpo.config.load import load_config, read_settings
from easyr1_fgrpo.config.problems import problems_of
from easyr1_fgrpo.config.schema import FgrpoConfig, RewardSettings

GOOD: dict[str, Any] = {
    "run_dir": "runs/fgrpo_tiny_cpu-s0",
    "constraint_keys": ["consistency"],
    "constraints": {"consistency": {"threshold": 0.95}},
    "judges": {"consistency": {"kind": "server", "server": "oracle"}},
    "reward_servers": {"oracle": {"kind": "embedded", "target": "package.module:Judge"}},
}


def changed(**changes: Any) -> dict[str, Any]:
    """GOOD with values set by path: `dual__lr=0.1`."""
    config = copy.deepcopy(GOOD)
    for path, value in changes.items():
        *parents, last = path.split("__")
        section = config
        for parent in parents:
            section = section.setdefault(parent, {})
        section[last] = value
    return config


def lines(config: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        FgrpoConfig.model_validate(config)
    return problems_of(caught.value)


def test_the_papers_numbers_are_the_defaults():
    config = FgrpoConfig.model_validate(GOOD)
    assert (config.dual.controller, config.dual.lr, config.dual.lambda_max) == ("dual_ascent", 0.05, 5.0)
    assert config.constraints["consistency"].initial_multiplier == 1.0
    assert (config.advantage.mask_mode, config.advantage.whiten) == ("exclude", "token")
    assert (config.reward.task, config.reward.judge_scope, config.reward.no_claim) == ("weighted", "correct", "exclude")


THRESHOLD = "constraints.consistency.threshold"
UNIT = "Input should be between 0 and 1"
KEY_OF = "Input should be a key of reward_servers with"
DUAL_KEYS = "controller, lr, lambda_max, min_applicable, min_valid_share, kp, kd, smoothing, floor"
CONSTRAINTS = "consistency, spatial_grounding, semantic_grounding"
CUSTOM = "; a custom one says what it measures, signal: FILE.py:FUNCTION"


def test_a_wrong_value_is_refused_in_one_line_with_key_value_and_what_is_allowed():
    for key, value, allowed in [
        (THRESHOLD, 1.9, UNIT),
        (THRESHOLD, -0.1, UNIT),
        (THRESHOLD, math.nan, "Input should be a finite number"),
        (THRESHOLD, "0.9", "Input should be a valid number"),
        (THRESHOLD, True, "Input should be a valid number"),
        ("constraint_keys", "consistency", "Input should be a valid list"),
        ("constraint_keys", ["consistency"] * 2, "a constraint is named twice"),
        ("dual", None, "Input should be a valid dictionary or instance of DualSettings"),
        ("dual.lr", 0.0, "Input should be greater than 0"),
        ("dual.lambda_max", math.inf, "Input should be a finite number"),
        ("dual.min_applicable", 2.5, "Input should be a valid integer"),
        (
            "dual.controller",
            "ascent",
            "Input should be 'dual_ascent', 'fixed', 'pid', 'nupi' or 'multiplicative'",
        ),
        ("dual.kp", -0.1, "Input should be greater than or equal to 0"),
        ("dual.smoothing", 1.0, "Input should be less than 1"),
        ("dual.floor", 0.0, "Input should be greater than 0"),
        ("advantage.min_group_valid", 1, "Input should be greater than or equal to 2"),
        ("reward.judge_scope", "none", "Input should be 'correct' or 'all'"),
        ("reward.deadline_s", 0.0, "Input should be greater than 0"),
        ("max_failed_share", 1.5, UNIT),
        ("judges.consistency.server", "orcale", f"{KEY_OF} kind=embedded, which holds oracle"),
        ("judges.consistency.kind", "sever", "Input should be one of server, local, openai_compatible"),
        ("reward_servers.oracle.kind", None, "Input should be one of embedded, vllm"),
        ("reward.max_sentences", 0, "Input should be greater than or equal to 1"),
        ("reward.weights.consistency", 1e308, "Input should be less than or equal to 1000"),
        ("dual.min_valid_share", 1.1, "Input should be less than or equal to 1"),
        ("judge_cache.max_gib", 0.0, "Input should be greater than 0"),
        ("run_dir", "/", "the last part names the run, write one like runs/my-run"),
        ("run_dir", "", "the last part names the run, write one like runs/my-run"),
    ]:
        assert lines(changed(**{key.replace(".", "__"): value})) == [f"fgrpo.{key}={value!r}: {allowed}"], (
            key,
            value,
            allowed,
        )


def test_an_unknown_key_is_refused_with_the_known_ones():
    for key, value, allowed in [
        ("constraints.entailment", {"threshold": 0.9}, CONSTRAINTS + CUSTOM),
        ("constraints.consistency.treshold", 0.9, "threshold, initial_multiplier, judge_error"),
        ("dual.lambda", 2.0, DUAL_KEYS),
        ("judges.fluency", {"kind": "local", "target": "a:B"}, "'consistency' or 'grounding'"),
        ("reward_servers.oracle.cpus", 1.0, "kind, target, options, num_cpus, start_deadline_s"),
    ]:
        assert lines(changed(**{key.replace(".", "__"): value})) == [f"fgrpo.{key}: unknown key, allowed: {allowed}"], (
            key
        )


SENTENCE = {
    "reward__level": "sentence",
    "constraint_keys": ["semantic_grounding"],
    "constraints__semantic_grounding": {"threshold": 0.95},
}
MODEL = {"kind": "openai_compatible", "model": "judge"}
URL, LIKE = "judges.consistency.base_urls.0", "http://host:8000/v1"
NO_VLLM = f"{KEY_OF} kind=vllm, which holds nothing"


def test_values_that_do_not_agree_are_refused_by_key():
    for changes, line in [
        ({"constraint_keys": ["entailment"]}, f"constraint_keys=['entailment']: entailment is none of {CONSTRAINTS}"),
        ({"signals": {"task": "a.py:b"}}, "signals.task: this name is taken, choose another"),
        ({"signals": {"a/b": "a.py:b"}}, "signals.a/b: unknown key, String should match pattern '^[a-z][a-z0-9_]*$'"),
        (
            {"constraint_keys": ["spatial_grounding"]},
            "constraints.spatial_grounding is not set, but constraint_keys names it: give it a threshold",
        ),
        (
            {"dual__lambda_max": 0.5},
            "constraints.consistency.initial_multiplier=1.0: Input should be less than or equal to dual.lambda_max=0.5",
        ),
        (
            {"dual__kp": 0.5},
            "dual.kp=0.5: controller=dual_ascent has no such option; leave it out, or choose controller=pid or nupi",
        ),
        (
            {"dual__controller": "pid", "dual__floor": 0.1},
            "dual.floor=0.1: controller=pid has no such option; leave it out, or choose controller=multiplicative",
        ),
        (
            {"dual__controller": "multiplicative", "dual__lambda_max": 1.5, "dual__floor": 1.5},
            "dual.floor=1.5: Input should be less than dual.lambda_max=1.5",
        ),
        (
            {"reward__level": "sentence", "constraint_keys": []},
            "reward.level='sentence': it credits a constraint, and none acts; leave it out, or say arm=fgrpo",
        ),
        (
            {"reward__level": "sentence"},
            "reward.level='sentence': it credits semantic_grounding, add that to constraint_keys=['consistency']",
        ),
        *(
            (
                SENTENCE | {key.replace(".", "__"): value},
                f"reward.level='sentence': not with {key}={value}, change one of them",
            )
            for key, value in (
                ("advantage.mask_mode", "zero_fill"),
                ("advantage.whiten", "rollout"),
                ("images.coordinates", "thousand"),
            )
        ),
        ({"signals": {"sentence_tokens": "a.py:b"}}, "signals.sentence_tokens: this name is taken, choose another"),
        ({"judges__consistency": {"kind": "local"}}, "judges.consistency.target: Field required"),
        ({"judges__consistency__server": ""}, "judges.consistency.server='': String should have at least 1 character"),
        ({"judges__consistency": MODEL}, "judges.consistency: give base_urls or server, one of them"),
        ({"judges__consistency": MODEL | {"base_urls": ["host:80"]}}, f"{URL}: Input should be a URL like {LIKE}"),
        (
            {"judges__consistency": MODEL | {"base_urls": ["http://me:secret@host/v1"]}},
            f"{URL}: Input should hold no user name, password or query; name a key by api_key_env",
        ),
        ({"judges__consistency": MODEL | {"server": "oracle"}}, "judges.consistency.server='oracle': " + NO_VLLM),
    ]:
        assert lines(changed(**changes)) == [f"fgrpo.{line}"], (changes, line)


def test_every_problem_gets_its_own_line():
    assert lines(changed(dual__lr=-1.0, dual__lamda=3.0, max_failed_share=2.0)) == [
        "fgrpo.dual.lr=-1.0: Input should be greater than 0",
        f"fgrpo.dual.lamda: unknown key, allowed: {DUAL_KEYS}",
        "fgrpo.max_failed_share=2.0: Input should be between 0 and 1",
    ]


def test_what_is_no_mapping_is_refused():
    for nothing in [None, 3, "fgrpo", []]:
        (line,) = lines(nothing)
        assert line.startswith(f"fgrpo={nothing!r}: "), nothing


def test_missing_keys_are_named():
    assert lines({}) == [f"fgrpo.{key}: Field required" for key in ("run_dir", "constraint_keys", "constraints")]


def test_a_fixed_multiplier_knows_no_cap():
    config = changed(dual__controller="fixed", dual__lambda_max=0.5)
    assert FgrpoConfig.model_validate(config).constraints["consistency"].initial_multiplier == 1.0


def test_whole_numbers_are_numbers():
    assert FgrpoConfig.model_validate(changed(dual__lambda_max=2)).dual.lambda_max == 2.0


def test_settings_do_not_change():
    with pytest.raises(ValidationError, match="frozen"):
        FgrpoConfig.model_validate(GOOD).max_failed_share = 1.0


def test_validation_judges_every_rollout_and_leaves_the_rest():
    reward = RewardSettings(task="additive", deadline_s=3.0)
    assert reward.for_validation() == RewardSettings(task="additive", deadline_s=3.0, judge_scope="all")


def test_the_namespace_is_the_runs():
    for run_dir in ["runs/a-s0", "runs/a-s0/", "/data/runs/a-s0", "a-s0", "./a-s0"]:
        assert FgrpoConfig.model_validate(changed(run_dir=run_dir)).namespace == "fgrpo-a-s0", run_dir


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(key=st.sampled_from([*FgrpoConfig.model_fields, "another"]), value=anything)
def test_any_value_is_accepted_or_refused_in_lines(key, value):
    try:
        FgrpoConfig.model_validate(GOOD | {key: value})
    except ValidationError as error:
        problems = problems_of(error)
        assert problems
        assert all(line.startswith("fgrpo.") and len(line.splitlines()) == 1 for line in problems)


def test_a_constraint_can_be_put_on_a_signal_of_ones_own():
    settings = FgrpoConfig.model_validate(
        changed(
            signals={"brevity": "brevity.py:score"},
            constraint_keys=["consistency", "brevity"],
            constraints={"consistency": {"threshold": 0.9}, "brevity": {"threshold": 0.5}},
        )
    )
    assert settings.constraints["brevity"].threshold == 0.5


def test_a_controllers_options_are_its_defaults_and_what_is_given():
    pid = FgrpoConfig.model_validate(changed(dual__controller="pid", dual__kp=0.25)).dual
    assert pid.controller_options == {**CONTROLLER_OPTIONS["pid"], "kp": 0.25}
    assert FgrpoConfig.model_validate(GOOD).dual.controller_options == {}


def test_settings_are_read_as_they_were_written():
    config = read_settings(load_config(["fgrpo.resume.from=global_step_4"]))
    assert FgrpoConfig.model_validate_json(config.model_dump_json()) == config
    assert config.resume.from_ == "global_step_4"
