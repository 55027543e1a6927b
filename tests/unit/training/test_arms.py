# What each arm of the paper does to a step, by hand: arms differ in configuration only, so no trainer is needed for it.
import asyncio

import pytest
import torch

from easyr1_fgrpo.config.load import load_config, read_settings
from easyr1_fgrpo.judges.protocol import Label, Question, Verdict
from easyr1_fgrpo.miniature.tokenizer import build_tokenizer
from easyr1_fgrpo.training.rollout import RolloutScorer
from easyr1_fgrpo.training.step import Fgrpo
from easyr1_fgrpo.training.step_signals import RolloutId

from .made_rollouts import RIGHT, WRONG, rollout_of

CONTRADICTS = RIGHT.replace("red circle", "blue circle")  # right, and its trace does not entail it
TEXTS = (RIGHT, CONTRADICTS, WRONG)
KEYS = ("consistency", "spatial_grounding", "semantic_grounding")

# Of the three rollouts R_acc = 1, 1, 0; R_fmt = 1; R_C = 1, 0 and none; R_G = 1. In 12ths, so that they are exact.
TASKS = {
    "weighted": (12, 12, 6),  # .5 R_acc + .5 R_fmt
    "additive": (12, 8, 4),  # 1/3 R_acc + 1/3 R_acc R_C + 1/3 R_fmt R_G
    "multiplicative": (12, 6, 6),  # .5 R_acc R_C + .5 R_fmt R_G
}
ARMS = {
    "fgrpo": ("weighted", KEYS),
    "fixed_multipliers": ("weighted", KEYS),
    "consistency_only": ("weighted", KEYS[:1]),
    "grpo_t": ("weighted", ()),
    "additive": ("additive", ()),
    "multiplicative": ("multiplicative", ()),
}


class Judge:
    name = "by hand"

    async def ask(self, request):
        if request.kind is Question.GROUNDING:
            return Verdict(Label.CORRECT, self.name)
        return Verdict(Label.NO if "blue circle" in request.context else Label.YES, self.name)


@pytest.mark.parametrize("arm", ARMS)
def test_an_arms_task_reward_constraints_and_dual_step(arm, tmp_path):
    settings = read_settings(load_config([f"arm={arm}", f"fgrpo.run_dir={tmp_path}", "fgrpo.dual.min_applicable=1"]))
    tokenizer = build_tokenizer()
    scorer = RolloutScorer(settings, dict.fromkeys(Question, Judge()), tokenizer, max_response_length=60)
    rollouts = [rollout_of(text, tokenizer, session=number) for number, text in enumerate(TEXTS)]

    async def score():
        return await asyncio.gather(*map(scorer.score, rollouts))

    numbers = asyncio.run(score())
    task, keys = ARMS[arm]
    assert [round(12 * row["task"]) for row in numbers] == list(TASKS[task])

    fgrpo = Fgrpo(settings)
    step = fgrpo.begin_step(1, [RolloutId(0, n) for n in range(3)], numbers, expected=3)
    assert tuple(fgrpo.controller.multipliers) == keys
    metrics = fgrpo.end_step(step, fgrpo.advantage(step, torch.ones(3, 4)))
    # Every arm logs every signal: consistency applies to the two right rollouts, one of which has it.
    assert metrics["fgrpo/signals/consistency/mean"] == 0.5
    assert metrics["fgrpo/signals/consistency/applicable"] == 2
    moved = {name.split("/")[1]: metrics[name] for name in metrics if name.endswith("/next_multiplier")}
    after = {"consistency": 1 + 0.05 * (0.95 - 0.5), "spatial_grounding": 1 + 0.05 * (0.65 - 1.0),
             "semantic_grounding": 1 + 0.05 * (0.95 - 1.0)}  # fmt: skip
    expected = dict.fromkeys(keys, 1.0) if arm == "fixed_multipliers" else {name: after[name] for name in keys}
    assert moved == pytest.approx(expected, abs=1e-12)
