"""The same rollouts through both hosts: the same signals, the same advantages, the same multipliers."""

from functools import partial

import pyarrow.parquet as pq
import pytest
import torch
import yaml
from host_steps import verls_numbers, verls_step

from easyr1.runs import PROMPTS, RESPONSES
from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.generation.processor import load_processor
from easyr1_fgrpo.judges.factory import build_judges
from easyr1_fgrpo.training.rollout import Rollout, RolloutScorer
from easyr1_fgrpo.verl_plugin.dataset import encoded, within_budget

pytestmark = pytest.mark.easyr1


@pytest.fixture
def settings(host, whole, tmp_path):
    """The run's own, for another folder."""
    found = yaml.safe_load((host.folder / whole / "config.yaml").read_text())["fgrpo"]
    return FgrpoConfig.model_validate({**found, "run_dir": str(tmp_path / "verl")})


@pytest.fixture
def rollouts(host, whole):
    """Of the first step, as EasyR1 handed them over: row, session, tokens."""
    noted = torch.load(host.folder / "notes/rollouts-1.pt")
    found = list(zip(noted["rows"], noted["sessions"], noted["responses"], strict=True))
    assert len(found) == PROMPTS * RESPONSES
    assert len({(row, session) for row, session, _ in found}) == len(found)
    return found


def handed_over_to_verl(tiny, settings, rollouts):
    """The rollouts as verl's agent loop hands them to its reward workers."""
    rows = {row["extra_info"]["index"]: row for row in pq.read_table(tiny / "train.parquet").to_pylist()}
    for index, session, ids in rollouts:
        row = encoded(within_budget(rows[index], "images", settings.images), "images")
        images = tuple(row["images"])
        fields = {key: row[key] for key in ("extra_info", "reward_model")}
        yield Rollout(row=fields, images=partial(tuple, images), response_ids=ids, step=1, session=session)


def test_the_first_step_is_that_of_the_verl_host(host, whole, tiny, settings, rollouts):
    tokenizer = load_processor(str(tiny / "model")).tokenizer
    scorer = RolloutScorer(settings, build_judges(settings), tokenizer, max_response_length=56)
    numbers = verls_numbers(scorer, list(handed_over_to_verl(tiny, settings, rollouts)))
    mask_BT = torch.zeros(len(rollouts), 56, dtype=torch.long)
    for row, (_, _, ids) in enumerate(rollouts):
        mask_BT[row, : len(ids)] = 1
    ids = [(f"run-1-{index}", session) for index, session, _ in rollouts]
    metrics, advantages_BT, _ = verls_step(settings, ids, numbers, mask_BT, prompts=PROMPTS, n=RESPONSES)
    on_easyr1 = host.metrics(whole)[1]
    waits = "wait_s"
    ours = {name: value for name, value in metrics.items() if waits not in name}
    assert len(ours) > 50
    assert {name: value for name, value in on_easyr1.items() if name.startswith("fgrpo/") and waits not in name} == ours
    theirs_BT = torch.load(host.folder / "notes/advantages-0.pt")
    assert theirs_BT.abs().max() > 0.5
    assert torch.equal(theirs_BT, advantages_BT)
