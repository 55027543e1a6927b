"""Images for verl's data code where `qwen_vl_utils` cannot be imported (it needs torchvision, which has no CPU wheel).

Same contract as the two functions of qwen_vl_utils that verl calls, for images only.
"""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path
from types import ModuleType
from typing import Any

from PIL import Image

from easyr1_fgrpo.pictures import decode, rgb

MIN_TOKENS, MAX_TOKENS = 4, 16384
"""Bounds of an image in tokens, as in qwen_vl_utils, where its message sets none in pixels."""


def fetch_image(element: dict[str, Any] | Image.Image, image_patch_size: int = 14) -> Image.Image:
    """Load one image and resize it so that both sides are multiples of twice the patch size.

    Args:
        element: a PIL image, or a message element whose `image` is a PIL image, bytes, a local path, or a data URL.
        image_patch_size: the vision tower's patch size in pixels.

    Raises:
        ValueError: when the element holds nothing that can be read without a network.
    """
    # Imported here: this module is installed in every process that imports verl, also in the light ones.
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

    source = element if isinstance(element, Image.Image) else element.get("image", element.get("bytes"))
    if isinstance(source, str) and source.startswith("data:image"):
        source = b64decode(source.partition("base64,")[2])
    if isinstance(source, bytes):
        source = decode(source)
    elif isinstance(source, str | Path):
        source = decode(Path(str(source).removeprefix("file://")).read_bytes())
    if not isinstance(source, Image.Image):
        raise ValueError(f"cannot read an image from {type(source).__name__}: give a PIL image, bytes or a local path")
    image = rgb(source)
    budget = {} if isinstance(element, Image.Image) else element
    factor = 2 * image_patch_size
    least, most = (
        int(budget.get(key, tokens * factor**2))
        for key, tokens in (("min_pixels", MIN_TOKENS), ("max_pixels", MAX_TOKENS))
    )
    height, width = smart_resize(image.height, image.width, factor, least, most)
    return image if (width, height) == image.size else image.resize((width, height), Image.Resampling.BICUBIC)


def process_vision_info(
    messages: list[dict[str, Any]], image_patch_size: int = 14, return_video_metadata: bool = False
) -> tuple[list[Image.Image] | None, None]:
    """The images of a conversation, in order.

    Raises:
        ValueError: when the conversation holds a video.
    """
    contents = [message["content"] for message in messages if isinstance(message["content"], list)]
    elements = [element for content in contents for element in content]
    if any("video" in element for element in elements):
        raise ValueError("videos need qwen_vl_utils with torchvision; the CPU platform reads images only")
    images = [fetch_image(element, image_patch_size) for element in elements if "image" in element]
    return images or None, None


def stand_in() -> ModuleType:
    """A module with this file's two functions, to stand in for `qwen_vl_utils`."""
    module = ModuleType("qwen_vl_utils", __doc__)
    module.fetch_image = fetch_image  # type: ignore[attr-defined]
    module.process_vision_info = process_vision_info  # type: ignore[attr-defined]
    return module
