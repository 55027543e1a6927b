# FGRPO in a loop that is no trainer: what a second host has to do, and that a resumed run goes on as if never stopped.
import asyncio
import zlib

import torch
from made_trainer import settings_of

from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.judges.protocol import Label, Question, Verdict
from easyr1_fgrpo.metrics_file import MetricsFile, read_metrics
from easyr1_fgrpo.miniature.tokenizer import build_tokenizer
from easyr1_fgrpo.training.rollout import RolloutScorer
from easyr1_fgrpo.training.state import load_state, save_state
from easyr1_fgrpo.training.step import Fgrpo
from easyr1_fgrpo.training.step_signals import RolloutId

from .made_rollouts import RIGHT, WRONG, rollout_of

GROUPS, ROLLOUTS = 2, 4
TOKENIZER = build_tokenizer()


class Scripted:
    """Says no to some answers: a verdict depends on the text alone."""

    name = "scripted"

    async def ask(self, request):
        yes = zlib.crc32(request.context.encode()) % 3 > 0
        return Verdict((Label.YES if yes else Label.NO) if request.kind is Question.CONSISTENCY else Label.CORRECT, "")


class Loop:
    """A trainer without a policy: texts come from a list, and advantages are noted instead of learnt from."""

    def __init__(self, run_dir):
        settings = FgrpoConfig.model_validate(settings_of(run_dir=str(run_dir), dual={"min_applicable": 1}))
        self.scorer = RolloutScorer(
            settings, dict.fromkeys(Question, Scripted()), TOKENIZER, max_response_length=60, worker="loop"
        )
        self.fgrpo = Fgrpo(settings)
        self.file = MetricsFile(run_dir / "metrics.jsonl")
        self.advantages = {}

    def step(self, number):
        ids = [RolloutId(group, session) for group in range(GROUPS) for session in range(ROLLOUTS)]
        rollouts = [rollout_of(self._write(number, who), TOKENIZER, step=number, session=who.session) for who in ids]
        numbers = asyncio.run(self._score(rollouts))
        lengths_B = torch.tensor([len(rollout.response_ids) for rollout in rollouts])
        mask_BT = torch.arange(int(lengths_B.max())) < lengths_B[:, None]

        step = self.fgrpo.begin_step(number, ids, numbers, expected=len(ids))
        advantage = self.fgrpo.advantage(step, mask_BT)
        self.file.write(number, self.fgrpo.end_step(step, advantage))
        self.advantages[number] = advantage.advantages

    async def _score(self, rollouts):
        return await asyncio.gather(*map(self.scorer.score, rollouts))

    def _write(self, number, who):
        text = WRONG if (number + who.group + who.session) % 3 == 0 else RIGHT
        return text.replace("14,14", f"{14 + who.session},{14 + number}")


def test_a_resumed_loop_goes_on_as_if_never_stopped(tmp_path):
    whole = Loop(tmp_path / "whole")
    for number in (1, 2, 3):
        whole.step(number)

    stopped = Loop(tmp_path / "stopped")
    for number in (1, 2):
        stopped.step(number)
    save_state(stopped.fgrpo, tmp_path / "stopped/checkpoints/global_step_2")
    resumed = Loop(tmp_path / "stopped")
    load_state(resumed.fgrpo, tmp_path / "stopped/checkpoints/global_step_2")
    resumed.step(3)

    assert resumed.fgrpo.controller.state_dict() == whole.fgrpo.controller.state_dict()
    assert torch.equal(resumed.advantages[3], whole.advantages[3])
    logged = read_metrics(tmp_path / "stopped/metrics.jsonl")
    assert {step: _timeless(metrics) for step, metrics in logged.items()} == {
        step: _timeless(metrics) for step, metrics in read_metrics(tmp_path / "whole/metrics.jsonl").items()
    }
    # Something happened at all: rollouts of a group differ, and multipliers moved.
    assert whole.advantages[3].any()
    for name, initial in Loop(tmp_path / "new").fgrpo.controller.multipliers.items():
        moved = [logged[step][f"fgrpo/{name}/next_multiplier"] for step in (1, 2, 3)]
        assert len({initial, *moved}) == 4


def _timeless(metrics):
    return {name: value for name, value in metrics.items() if "wait_s" not in name}
