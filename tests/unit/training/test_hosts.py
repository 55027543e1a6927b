"""The same rollouts through both hosts' adapters: the same signals, traces, advantages, multipliers and metrics."""

from dataclasses import replace

import pytest
import torch
from host_steps import easyr1s_numbers, easyr1s_step, verls_numbers, verls_step
from made_trainer import settings_of
from PIL import Image

from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.miniature.tokenizer import build_tokenizer
from easyr1_fgrpo.traces import read_traces
from easyr1_fgrpo.training.step import Fgrpo
from easyr1_fgrpo.training.step_signals import RolloutId

from .made_rollouts import RIGHT, WRONG, rollout_of, score, scorer_of

STEP = {"verl": verls_step, "easyr1": easyr1s_step}
NUMBERS = {"verl": verls_numbers, "easyr1": easyr1s_numbers}
WITHOUT_FORMAT = "left"
NEITHER_BOX_NOR_CLAIM = "<think>.</think><answer>left</answer>"
ROLLOUTS = (RIGHT, WRONG, WITHOUT_FORMAT, RIGHT, NEITHER_BOX_NOR_CLAIM, RIGHT, WRONG, WRONG)
IDS = [(group, number) for group in ("p", "q") for number in range(4)]


def rollouts():
    tokenizer = build_tokenizer()
    picture = Image.new("RGB", (84, 84), "red")
    found = (rollout_of(text, tokenizer, picture=lambda: (picture,)) for text in ROLLOUTS)
    return [replace(rollout, session=number) for rollout, (_, number) in zip(found, IDS, strict=True)]


def plain(numbers):
    """But for times; NaN equals NaN."""
    return [{name: repr(value) for name, value in row.items() if not name.endswith("_s")} for row in numbers]


def traces_of(run_dir):
    records, bad = read_traces((run_dir / "traces").glob("train-*.jsonl"))
    assert bad == 0
    return sorted(records, key=lambda record: record.session)


def timeless(record):
    return record.model_copy(update={"written_at": 0.0})


@pytest.mark.parametrize("host", NUMBERS)
def test_a_response_becomes_the_same_signals_and_the_same_trace(host, tmp_path):
    group = [replace(rollout, session=number) for number, rollout in enumerate(rollouts())]
    expected = score(scorer_of(tmp_path / "core"), *group)
    found = NUMBERS[host](scorer_of(tmp_path / host), group)
    assert {row["task"] for row in expected} == {1.0, 0.5, 0.0}
    assert plain(found) == plain(expected)
    core, hosts = ([timeless(record) for record in traces_of(tmp_path / name)] for name in ("core", host))
    assert len(core) == len(ROLLOUTS)
    assert hosts == core


SETTINGS = {
    "dual ascent": {},
    "grpo_t": {"constraint_keys": []},
    "pid": {"dual": {"controller": "pid", "lambda_max": 5.0, "min_applicable": 1}},
    "fixed": {"dual": {"controller": "fixed", "min_applicable": 1}},
    "zero_fill": {"advantage": {"mask_mode": "zero_fill", "whiten": "rollout"}},
    "sentences": {"constraint_keys": ["consistency", "semantic_grounding"], "reward": {"level": "sentence"}},
}


@pytest.mark.parametrize("host", STEP)
@pytest.mark.parametrize("changes", SETTINGS.values(), ids=SETTINGS)
def test_signals_become_the_same_advantages_multipliers_and_metrics(host, changes, tmp_path):
    settings = FgrpoConfig.model_validate(settings_of(run_dir=str(tmp_path), **changes))
    scored_by = {**changes, "constraints": settings_of()["constraints"]} if "reward" in changes else {}
    numbers = score(scorer_of(tmp_path / "run", **scored_by), *rollouts())
    lengths = [len(rollout.response_ids) for rollout in rollouts()]
    mask_BT = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    core = Fgrpo(settings)
    step = core.begin_step(1, [RolloutId(*row, 0) for row in IDS], numbers, expected=len(numbers))
    advantage = core.advantage(step, mask_BT)
    expected = core.end_step(step, advantage)
    metrics, advantages_BT, fgrpo = STEP[host](settings, IDS, numbers, mask_BT, prompts=2, n=4)
    assert advantage.advantages.abs().max() > 0.5
    torch.testing.assert_close(advantages_BT, advantage.advantages, rtol=0, atol=1e-6)
    assert metrics == pytest.approx(expected, abs=1e-9)
    assert fgrpo.controller.multipliers == pytest.approx(core.controller.multipliers, abs=1e-12)
