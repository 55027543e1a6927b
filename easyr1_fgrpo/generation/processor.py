"""A model's processor: loaded, also where torchvision is missing and its video half cannot be built, and put to use."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from easyr1_fgrpo.pictures import rgb

IMAGE_MARK = "<image>"
"""Where an image stands in the text of a dataset row's prompt (verl's convention)."""


def torchvision_missing() -> bool:
    """Whether transformers cannot build video processors here (torchvision has no CPU wheel)."""
    return importlib.util.find_spec("torchvision") is None


def drop_video_processor(mixin: Any) -> None:
    """Let processors be built without their video half: images and text need none of it.

    Args:
        mixin: transformers' `ProcessorMixin`, patched in place, once.
    """
    if not hasattr(mixin, "get_attributes"):
        return _drop_from_each_class(mixin)
    original = mixin.get_attributes.__func__
    if hasattr(original, "__wrapped__"):
        return

    def get_attributes(cls: Any) -> list[str]:
        return [name for name in original(cls) if name != "video_processor"]

    get_attributes.__wrapped__ = original  # type: ignore[attr-defined]
    mixin.get_attributes = classmethod(get_attributes)


def _drop_from_each_class(mixin: Any) -> None:
    """The same for transformers 4, where the list of its parts is an attribute of each processor's class."""
    original = mixin.from_pretrained.__func__
    if hasattr(original, "__wrapped__"):
        return

    def from_pretrained(cls: Any, *args: Any, **options: Any) -> Any:
        cls.attributes = [name for name in cls.attributes if name != "video_processor"]
        return original(cls, *args, **options)

    from_pretrained.__wrapped__ = original  # type: ignore[attr-defined]
    mixin.from_pretrained = classmethod(from_pretrained)


def load_processor(path: str, *, trust_remote_code: bool = False) -> Any:
    """The processor of a checkpoint: tokenizer, chat template and image processor.

    Raises:
        ValueError: when the checkpoint holds no processor for images and text.
    """
    from transformers import AutoProcessor, ProcessorMixin

    if torchvision_missing():
        drop_video_processor(ProcessorMixin)
    processor = AutoProcessor.from_pretrained(path, trust_remote_code=trust_remote_code)
    missing = [part for part in ("tokenizer", "image_processor") if getattr(processor, part, None) is None]
    if missing:
        raise ValueError(f"{path} holds no {' and no '.join(missing)}: copy these files of its base model into it")
    return processor


def encode(
    processor: Any, messages: Sequence[Mapping[str, str]], images: Sequence[Image.Image]
) -> tuple[tuple[int, ...], tuple[Image.Image, ...]]:
    """Turn a prompt into what the model reads, as verl does for a rollout.

    Args:
        processor: of the model.
        messages: `role` and `content`; every `<image>` in a content takes the next image.
        images: of any size, as many as there are marks.

    Returns:
        Token ids up to where the response begins, with one placeholder per merged image patch, and the images in RGB at
        the size at which the model sees them: both sides multiples of the merged patch, in pixels.

    Raises:
        ValueError: when marks and images differ in number.
    """
    marks = sum(message["content"].count(IMAGE_MARK) for message in messages)
    if marks != len(images):
        raise ValueError(f"a prompt has {marks} {IMAGE_MARK} marks and {len(images)} images: give one mark per image")
    structured = [{"role": message["role"], "content": content_parts(message["content"])} for message in messages]
    text = processor.apply_chat_template(structured, add_generation_prompt=True, tokenize=False)
    shown = [rgb(image) for image in images]
    encoded = processor(text=[text], images=shown or None)
    grids = encoded.get("image_grid_thw", ())
    seen = tuple(_resized(image, grid, processor) for image, grid in zip(shown, grids, strict=True))
    return tuple(encoded["input_ids"][0]), seen


def as_seen(processor: Any, image: Image.Image) -> Image.Image:
    """An image at the size at which the model sees it, in whose pixels it writes boxes."""
    shown = rgb(image)
    return _resized(shown, processor.image_processor(images=[shown])["image_grid_thw"][0], processor)


def content_parts(content: str) -> list[dict[str, str]]:
    """A turn's text as chat templates want it: every `<image>` in it a part of its own."""
    segments = [segment for segment in re.split(f"({IMAGE_MARK})", content) if segment]
    return [{"type": "image"} if segment == IMAGE_MARK else {"type": "text", "text": segment} for segment in segments]


def _resized(image: Image.Image, grid: Sequence[int], processor: Any) -> Image.Image:
    """The image in the size of its grid (1, rows, columns) of patches."""
    _, rows, columns = grid
    patch = processor.image_processor.patch_size
    size = int(columns) * patch, int(rows) * patch
    return image if image.size == size else image.resize(size, Image.Resampling.BICUBIC)
