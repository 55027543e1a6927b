"""Rewards as functions of a batch, what TRL's `reward_funcs` wants and a notebook calls.

Completions and the columns of the data set come as lists, one entry a rollout, and a list comes back: a score in [0,
1], or None where the reward does not apply or was not measured. A completion is a string or a list of messages.

Columns: `ground_truth` (the right answer's text), and where there are any `choices` (the options' texts), `boxes`
(reference boxes, xyxy in pixels of the image as the policy sees it), `images` or `image`, and `question` (what judges
read; the text of the prompt's last message without it).
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from easyr1_fgrpo.config.schema import RewardSettings
from easyr1_fgrpo.judges.boxes import pixel_boxes
from easyr1_fgrpo.judges.protocol import Judge, Question, Verdict
from easyr1_fgrpo.rewards.accuracy import answer_matches
from easyr1_fgrpo.rewards.response import parse_response
from easyr1_fgrpo.rewards.rollout import RolloutScore, Sample
from easyr1_fgrpo.rewards.spatial import spatial_score
from easyr1_fgrpo.rewards.suite import score_rollout

if TYPE_CHECKING:
    from PIL.Image import Image

Text = str | Sequence[Mapping[str, Any]]
"""A string, or a conversation: of its last message counts the text."""

RewardFunction = Callable[..., list[float | None]]
Result = TypeVar("Result")

DEFAULT = RewardSettings()
MIN_MEASURED = 0.5
"""Share of a call's rollouts that a judge has to measure, of those it was asked about."""

MAX_UNMEASURED = 3
"""Calls in a row below `MIN_MEASURED` with which training ends: without its constraint it would be another method."""

logger = logging.getLogger(__name__)


def answer_reward(
    completions: Sequence[Text],
    ground_truth: Sequence[str],
    choices: Sequence[Sequence[str] | None] | None = None,
    **columns: Any,
) -> list[float | None]:
    """The task reward R_task = 0.5 R_acc + 0.5 R_fmt (FGRPO section 3.1): 0, 0.5 or 1; it always applies."""
    rewards: list[float | None] = []
    for text, truth, options in zip(completions, ground_truth, _each(choices, len(completions)), strict=True):
        parsed = parse_response(_text(text))
        rewards.append(0.5 * parsed.well_formed + 0.5 * answer_matches(parsed.answer, truth, options or ()))
    return rewards


def spatial_reward(
    completions: Sequence[Text], boxes: Sequence[Sequence[Sequence[float]] | None], **columns: Any
) -> list[float | None]:
    """Spatial grounding R_G by CIoU and matching (FGRPO Eq. 1); None for a row without reference boxes."""
    rewards: list[float | None] = []
    for row, (text, reference) in enumerate(zip(completions, boxes, strict=True)):
        sample = Sample("", (), "", boxes=tuple((x1, y1, x2, y2) for x1, y1, x2, y2 in reference or ()), index=row)
        parsed = parse_response(_text(text))
        rewards.append(spatial_score(parsed.boxes, sample.boxes, parsed.n_boxes) if sample.boxes else None)
    return rewards


def consistency_reward(judge: Judge, settings: RewardSettings = DEFAULT) -> RewardFunction:
    """Does the trace entail the answer (R_C); None for a wrong answer, and where the judge gave no verdict.

    Args:
        judge: answers the question; any object with a name and an asynchronous `ask`.
        settings: `judge_scope="all"` scores wrong answers, too; `deadline_s`.

    Returns:
        A synchronous function of prompts, completions and columns. It warns when its judge fails, and raises a
        RuntimeError when the judge measured less than half of what it was asked about for the third time in a row.
    """
    return _reward_function("consistency_reward", "consistency", {Question.CONSISTENCY: judge}, settings)


def grounding_reward(
    judge: Judge, settings: RewardSettings = DEFAULT, *, coordinates: Literal["pixels", "thousand"] = "pixels"
) -> RewardFunction:
    """Share of the trace's claims that are true of the image (R_S); None as for `consistency_reward`, or without claim.

    Args:
        judge: as for `consistency_reward`.
        settings: in addition `max_sentences`, `max_claims` and `no_claim`.
        coordinates: in what the policy writes boxes, pixels of the image or thousandths of its sides (Qwen3-VL).
    """
    in_thousandths = coordinates == "thousand"
    judges = {Question.GROUNDING: judge}
    return _reward_function("grounding_reward", "semantic_grounding", judges, settings, in_thousandths=in_thousandths)


def _reward_function(
    name: str, signal: str, judges: Mapping[Question, Judge], settings: RewardSettings, *, in_thousandths: bool = False
) -> RewardFunction:
    watch = _Watch(name)

    async def score(text: str, sample: Sample) -> RolloutScore:
        if in_thousandths and sample.images:
            text = pixel_boxes(text, sample.images[0].size)
        return await score_rollout(sample, text, judges, settings)

    async def score_all(texts: Sequence[str], samples: Sequence[Sample]) -> list[RolloutScore]:
        try:
            return await asyncio.gather(*map(score, texts, samples))
        finally:
            for judge in judges.values():
                if (close := getattr(judge, "close", None)) is not None:
                    await close()  # or connections were left when the process ends; the next call opens them again

    def reward(
        prompts: Sequence[Text], completions: Sequence[Text], ground_truth: Sequence[str], **columns: Any
    ) -> list[float | None]:
        samples = _samples(prompts, ground_truth, **columns)
        scores = _wait_for(score_all([_text(text) for text in completions], samples))
        watch.see([score.verdicts for score in scores if score.verdicts])
        return [score.signals[signal].value for score in scores]

    reward.__name__ = reward.__qualname__ = name
    return reward


class _Watch:
    """Sees a judge fail, call by call."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._unmeasured = 0  # calls in a row

    def see(self, asked: Sequence[Sequence[Verdict]]) -> None:
        """Take the verdicts of each rollout that was asked about into account."""
        failed = [[verdict for verdict in verdicts if verdict.failure is not None] for verdicts in asked]
        measured = failed.count([])
        if measured < MIN_MEASURED * len(asked):
            self._unmeasured += 1
        elif asked:
            self._unmeasured = 0
        if measured == len(asked):
            return
        last = next(verdicts[-1] for verdicts in reversed(failed) if verdicts)
        problem = f"{self._name}: judge {last.judge} measured {measured} of {len(asked)} rollouts"
        cause = f"the last failure: {last.failure}, {last.cause}"
        logger.warning("%s; %s", problem, cause)
        if self._unmeasured >= MAX_UNMEASURED:
            raise RuntimeError(
                f"{problem} and too few for {self._unmeasured} calls in a row; {cause}. Bring the judge back and resume"
            )


def _samples(
    prompts: Sequence[Text],
    ground_truth: Sequence[str],
    question: Sequence[str] | None = None,
    choices: Sequence[Sequence[str] | None] | None = None,
    images: Sequence[Sequence[Image] | None] | None = None,
    image: Sequence[Image | None] | None = None,
    **columns: Any,
) -> list[Sample]:
    if images is None and image is not None:
        images = [[picture] if picture is not None else [] for picture in image]
    n = len(prompts)
    questions = [_text(prompt) for prompt in prompts] if question is None else question
    rows = zip(questions, _each(choices, n), ground_truth, _each(images, n), strict=True)
    return [Sample(asked, tuple(options or ()), truth, tuple(shown or ())) for asked, options, truth, shown in rows]


def _text(text: Text) -> str:
    if isinstance(text, str):
        return text
    content = text[-1]["content"]
    return content if isinstance(content, str) else "".join(part.get("text") or "" for part in content)


def _each(column: Sequence[Any] | None, n: int) -> Sequence[Any]:
    return [None] * n if column is None else column


def _wait_for(work: Coroutine[Any, Any, Result]) -> Result:
    """Run it on the judges' event loop: connections belong to one loop, and a notebook's own is running already."""
    future = asyncio.run_coroutine_threadsafe(work, _loop())
    try:
        return future.result()
    finally:
        future.cancel()  # where the wait was interrupted


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="judges", daemon=True).start()
    return loop
