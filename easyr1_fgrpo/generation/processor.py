"""Loading a model's processor, also where torchvision is missing and its video half therefore cannot be built."""

from __future__ import annotations

import importlib.util
from typing import Any


def torchvision_missing() -> bool:
    """Whether transformers cannot build video processors here (torchvision has no CPU wheel)."""
    return importlib.util.find_spec("torchvision") is None


def drop_video_processor(mixin: Any) -> None:
    """Let processors be built without their video half: images and text need none of it.

    Args:
        mixin: transformers' `ProcessorMixin`, mended in place, once.
    """
    original = mixin.get_attributes.__func__
    if hasattr(original, "__wrapped__"):
        return

    def get_attributes(cls: Any) -> list[str]:
        return [name for name in original(cls) if name != "video_processor"]

    get_attributes.__wrapped__ = original  # type: ignore[attr-defined]
    mixin.get_attributes = classmethod(get_attributes)


def load_processor(path: str, *, trust_remote_code: bool = False) -> Any:
    """The processor of a checkpoint: tokenizer, chat template and image processor."""
    from transformers import AutoProcessor, ProcessorMixin

    if torchvision_missing():
        drop_video_processor(ProcessorMixin)
    return AutoProcessor.from_pretrained(path, trust_remote_code=trust_remote_code)
