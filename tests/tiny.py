"""The tiny Qwen2.5-VL with random weights, as a model and as a checkpoint folder: the same wherever tests need one."""

from easyr1_fgrpo.miniature.model import build_model, save_checkpoint
from easyr1_fgrpo.miniature.tokenizer import build_tokenizer
from easyr1_fgrpo.miniature.worlds import one_step


def model():
    return build_model(build_tokenizer(), seed=0)


def save(folder, world=one_step, change=lambda model: None):
    """Write a checkpoint for a world's language, after `change` was made to the model."""
    tokenizer = build_tokenizer(world)
    built = build_model(tokenizer, seed=0)
    change(built)
    save_checkpoint(built, tokenizer, folder)
    return folder
