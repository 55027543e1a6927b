"""Rollouts of one dataset row, scored by judges whose answers are known."""

import asyncio

from made_trainer import settings_of
from PIL import Image

from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.judges.protocol import Label, Question, Verdict
from easyr1_fgrpo.miniature.tokenizer import build_tokenizer
from easyr1_fgrpo.training.rollout import Rollout, RolloutScorer

INFO = {
    "index": 5,
    "split": "train",
    "question": "Is red left or right of blue?",
    "choices": ["left", "right"],
    "boxes": [[7, 14, 28, 42]],
    "width": 42,
    "height": 84,
}
RIGHT = "<think>The red circle is at <bbox>[14,14,56,42]</bbox>.</think><answer>left</answer>"
WRONG = "<think>The red circle is at <bbox>[14,14,56,42]</bbox>.</think><answer>right</answer>"


class Agrees:
    name = "agrees"

    async def ask(self, request):
        return Verdict(Label.YES if request.kind is Question.CONSISTENCY else Label.CORRECT, self.name)


def scorer_of(run_dir, tokenizer=None, judge=None, max_response_length=40, **changes):
    settings = {"constraint_keys": [], "constraints": {}, **changes}
    return RolloutScorer(
        FgrpoConfig.model_validate(settings_of(run_dir=str(run_dir), **settings)),
        dict.fromkeys(Question, judge or Agrees()),
        tokenizer or build_tokenizer(),
        max_response_length=max_response_length,
    )


def rollout_of(text, tokenizer, split="train", picture=None, end=True, step=3, session=2):
    """A response to a row whose image is shown twice as wide as the raw one."""
    return Rollout(
        row={"extra_info": INFO | {"split": split}, "reward_model": {"ground_truth": "left"}},
        images=picture or (lambda: (Image.new("RGB", (84, 84), "red"),)),
        response_ids=tokenizer(text + tokenizer.eos_token * end)["input_ids"],
        step=step,
        session=session,
    )


def score(scorer, *rollouts):
    """The numbers of rollouts, in order."""

    async def all_of_them():
        return [await scorer.score(rollout) for rollout in rollouts]

    return asyncio.run(all_of_them())
