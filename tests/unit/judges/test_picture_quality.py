"""What a photograph loses on its way costs no more verdicts than asking again would.

Asked again, a judge in bfloat16 gives other logits, as they depend on who else is in the batch: both answers are off by
what bfloat16 costs, and differ by up to the square root of two times that. As far may a picture's way move them.
"""

import copy
from io import BytesIO

import numpy as np
import pytest
import torch
from gpu_path.byte_judge import build_judge
from PIL import Image
from sklearn.datasets import load_sample_images
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from easyr1_fgrpo import pictures
from easyr1_fgrpo.pictures import judged_file

SIDE, CROPS = 112, 100
PHOTOS = [Image.fromarray(photo).resize((512, 342), Image.Resampling.BICUBIC) for photo in load_sample_images().images]
SENTENCE = "The cup is left of the plate."


@pytest.fixture(scope="module")
def judge():
    """The tiny Qwen2.5-VL with random weights, and its tokenizer."""
    return build_judge()


def logits(model, tokenizer, photos):
    """Of the labels (CORRECT, INCORRECT, SKIP) about places of the photos, as pairs of crops and labels."""
    rng = np.random.default_rng(0)
    corners = rng.integers(0, (512 - SIDE, 342 - SIDE), (CROPS, 2)).tolist()
    crops = [photo.crop((x, y, x + SIDE, y + SIDE)) for photo in photos for x, y in corners]
    processor = Qwen2VLImageProcessorPil(size={"shortest_edge": SIDE * SIDE, "longest_edge": SIDE * SIDE})
    seen = processor(images=crops, return_tensors="pt")
    marks = "<|image_pad|>" * (int(seen["image_grid_thw"][0].prod()) // 4)
    text = tokenizer([f"<|vision_start|>{marks}<|vision_end|>{SENTENCE}"] * len(crops), return_tensors="pt")
    with torch.inference_mode():
        out = model(
            **text,
            pixel_values=seen["pixel_values"].to(model.dtype),
            image_grid_thw=seen["image_grid_thw"],
            mm_token_type_ids=(text["input_ids"] == model.config.image_token_id).long(),
        )
    return out.logits[:, -1, tokenizer.convert_tokens_to_ids(list("CIS"))].float()


def sent(photo):
    file, media_type = judged_file(photo)
    assert media_type == "image/jpeg"
    return Image.open(BytesIO(file)).convert("RGB")


def test_no_more_verdicts_flip_than_when_a_judge_is_asked_again(judge, monkeypatch):
    model, tokenizer = judge
    exact = logits(model, tokenizer, PHOTOS)
    again = logits(copy.deepcopy(model).bfloat16(), tokenizer, PHOTOS)

    def moved(other):
        return float((other - exact).square().mean().sqrt())

    def flipped(other):
        return float((other.argmax(1) != exact.argmax(1)).float().mean())

    judged = logits(model, tokenizer, list(map(sent, PHOTOS)))
    print(
        f"again: moved {moved(again):.4f}, {flipped(again):.1%} flip; sent: {moved(judged):.4f}, {flipped(judged):.1%}"
    )
    assert 0.0 < moved(judged) < 1.5 * moved(again)
    assert flipped(judged) <= flipped(again) + 0.01
    monkeypatch.setattr(pictures, "JUDGED_QUALITY", 90)
    coarse = logits(model, tokenizer, list(map(sent, PHOTOS)))
    assert moved(coarse) > 2.0 * moved(again)  # and this test would say so
