"""A Qwen2.5-VL of half a million parameters: the real architecture and the real processor, every width made small."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from easyr1_fgrpo.files import write_json
from easyr1_fgrpo.miniature.scene import SIDE
from easyr1_fgrpo.miniature.tokenizer import EOS, PAD, VISION

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

HIDDEN = 96
PATCH = 14


def build_config(tokenizer: PreTrainedTokenizerFast) -> Qwen2_5_VLConfig:
    """The tiny configuration; its wide initialisation lets so small a model ground words in pictures."""
    from transformers import Qwen2_5_VLConfig

    token = tokenizer.convert_tokens_to_ids
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": HIDDEN,
        "intermediate_size": 192,
        "num_hidden_layers": 3,
        "num_attention_heads": 3,
        "num_key_value_heads": 1,
        "max_position_embeddings": 512,
        "initializer_range": 0.08,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 6, 6]},
        "bos_token_id": None,
        "eos_token_id": token(EOS),
        "pad_token_id": token(PAD),
        "tie_word_embeddings": True,
    }
    vision = {
        "depth": 2,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_heads": 4,
        "out_hidden_size": HIDDEN,
        "patch_size": PATCH,
        "fullatt_block_indexes": [0, 1],
        "initializer_range": 0.08,
    }
    vision_start, vision_end, image, video = VISION
    return Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        vision_start_token_id=token(vision_start),
        vision_end_token_id=token(vision_end),
        image_token_id=token(image),
        video_token_id=token(video),
        tie_word_embeddings=True,
        initializer_range=0.08,
        eos_token_id=token(EOS),
        pad_token_id=token(PAD),
    )


def build_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> Qwen2_5_VLForConditionalGeneration:
    """A freshly initialised model in float32; the same seed gives the same weights."""
    import torch
    from transformers import GenerationConfig, Qwen2_5_VLForConditionalGeneration

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2_5_VLForConditionalGeneration(build_config(tokenizer)).float()
    model.generation_config = GenerationConfig(eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)
    return model


def build_image_processor() -> Qwen2VLImageProcessorPil:
    """Qwen's image processor, which leaves the world's pictures at their own size: 36 patches, 9 image tokens."""
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    return Qwen2VLImageProcessorPil(
        patch_size=PATCH, temporal_patch_size=2, merge_size=2, min_pixels=SIDE * SIDE, max_pixels=16 * SIDE * SIDE
    )


def save_checkpoint(model: Qwen2_5_VLForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Write weights, configuration, tokenizer and processor into the folder `out`, as Qwen's checkpoints hold them.

    The processor is written as its parts: building a Qwen2_5_VLProcessor needs torchvision for its video half.
    """
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    description = build_image_processor().to_dict() | {
        "image_processor_type": "Qwen2VLImageProcessor",  # whichever backend the reader has
        "processor_class": "Qwen2_5_VLProcessor",
    }
    write_json(out / "preprocessor_config.json", description)
    # Where torchvision is installed, a processor without its video half is not loaded.
    video = {"video_processor_type": "Qwen2VLVideoProcessor", "processor_class": "Qwen2_5_VLProcessor"}
    write_json(out / "video_preprocessor_config.json", video)
