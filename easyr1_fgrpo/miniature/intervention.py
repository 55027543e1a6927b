"""Does the answer follow the trace? `fgrpo miniature intervention NAME=CHECKPOINT... --world DIR`.

A true trace is put into the model's mouth with its last step and its conclusion flipped, and the model answers. One
that reads its own reasoning follows it into the wrong answer; one that has learned to read the answer off the picture,
whatever it has written before, does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import torch
from PIL import Image

from easyr1_fgrpo.miniature import language
from easyr1_fgrpo.miniature.backbone import IGNORED, read, see, tokenize
from easyr1_fgrpo.miniature.example import Example
from easyr1_fgrpo.miniature.model import build_image_processor
from easyr1_fgrpo.miniature.render import fingerprint
from easyr1_fgrpo.miniature.scene import OPPOSITE
from easyr1_fgrpo.miniature.scene_file import read_scenes
from easyr1_fgrpo.miniature.worlds import world_of
from easyr1_fgrpo.pictures import decode
from easyr1_fgrpo.terminal import progress_bar

BATCH = 64


class Shown(NamedTuple):
    """A question with its picture."""

    example: Example
    picture: Image.Image


@dataclass(frozen=True)
class Followed:
    """What a checkpoint answered to traces with a flipped end.

    Attributes:
        questions: how many it was asked.
        followed: greedy answers that follow the trace into the wrong answer.
        right: greedy answers that are right against the trace; the rest is neither.
        probability: of the answer that follows the trace, in [0, 1], mean over the questions.
    """

    questions: int
    followed: int
    right: int
    probability: float


def flipped_trace(example: Example) -> list[str]:
    """A true trace but for its last step and conclusion, which say the opposite."""
    *before, last = example.steps
    return language.trace(example.asked, [*before, last.flipped()])


def measure(checkpoint: Path, shown: Sequence[Shown]) -> Followed:
    """Put the flipped trace of every question into the model's mouth and see what it answers.

    Args:
        checkpoint: a Hugging Face folder of the miniature.
        shown: the questions, at least one.
    """
    from transformers import AutoTokenizer, Qwen2_5_VLForConditionalGeneration
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(checkpoint, dtype=torch.float32).eval()
    chances = []
    for start in progress_bar(
        range(0, len(shown), BATCH), desc=f"Intervening on {checkpoint.name}", unit="batch", delay=1
    ):
        chances.append(_answer_chances(model, tokenizer, shown[start : start + BATCH]))
    chances_BV = torch.cat(chances)
    wrong, right = (
        torch.tensor(tokenizer.convert_tokens_to_ids([str(answer) for answer in answers]))
        for answers in zip(*((OPPOSITE[item.example.answer], item.example.answer) for item in shown), strict=True)
    )
    answered = chances_BV.argmax(dim=-1)
    return Followed(
        questions=len(shown),
        followed=int((answered == wrong).sum()),
        right=int((answered == right).sum()),
        probability=float(chances_BV.gather(1, wrong[:, None]).mean()),
    )


def read_questions(world: Path, samples: int) -> list[Shown]:
    """The first questions of a world's `test.parquet`, which is in random order, with their scenes.

    Raises:
        OSError: when a file of the world is missing.
        ValueError: when a row is none of this world's questions; it names file and row.
    """
    scenes = dict(read_scenes(world / "scenes.jsonl"))
    rows = pq.read_table(world / "test.parquet").slice(0, samples).to_pylist()
    shown = []
    for number, row in enumerate(rows):
        picture = decode(row["images"][0]["bytes"])
        question = row["extra_info"]["question"]
        asked = world_of(question)
        kinds = {text: kind for kind, text in asked.QUESTIONS.items()}
        scene = scenes.get(fingerprint(picture))
        if scene is None or question not in kinds:
            raise ValueError(f"{world / 'test.parquet'} row {number}: no question or picture of this world")
        shown.append(Shown(asked.ask(scene, kinds[question]), picture))
    return shown


@torch.inference_mode()
def _answer_chances(model: Any, tokenizer: Any, shown: Sequence[Shown]) -> torch.Tensor:
    """Probabilities (B, V) of the token after `<answer>`, each row behind its flipped trace."""
    processor = build_image_processor()
    patches = [processor(images=[item.picture], return_tensors="pt")["pixel_values"] for item in shown]
    texts = [
        (item.example.question, language.response(flipped_trace(item.example), OPPOSITE[item.example.answer]))
        for item in shown
    ]
    ids, labels = tokenize(tokenizer, texts)
    ends = (labels != IGNORED).int().cumsum(dim=1).argmax(dim=1)  # ... <answer> ANSWER </answer> END
    logits = read(model, ids, see(model, torch.stack(patches)))
    return logits[torch.arange(len(shown)), ends - 3].softmax(dim=-1)
