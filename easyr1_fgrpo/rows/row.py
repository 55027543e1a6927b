"""One row of a dataset, in verl's columns: what each field means and must hold."""

from __future__ import annotations

import re
from collections.abc import Sequence
from string import ascii_uppercase
from typing import Annotated, TypeVar

from PIL import Image
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from easyr1_fgrpo.normal_form import named_by_text, normalize_answer, same_options
from easyr1_fgrpo.pictures import decode

IMAGE_MARK = "<image>"
"""Where an image stands in the text of a prompt."""

_SPECIAL = re.compile(
    r"<(?:video|audio)>|<\|[^|<>]{1,40}\|>|<｜[^｜<>]{1,40}｜>|"  # verl's marks; Qwen, Llama 3, Phi, GLM; DeepSeek
    r"</?s>|<(?:bos|eos|pad|unk)>|\[/?INST\]|<</?SYS>>|\[IMG(?:_BREAK|_END)?\]|\[gMASK\]|"  # Llama 2, Mistral, GLM
    r"<(?:start|end)_of_(?:turn|image)>|<image_soft_token>|"  # Gemma
    r"<end_of_utterance>|<fake_token_around_image>|</?img>|<IMG_CONTEXT>"  # Idefics, InternVL
)


def special_token(text: str) -> str:
    """The first token in a text that trainers or chat models give a meaning to, besides `IMAGE_MARK`; "" without one.

    verl takes `<video>` and `<audio>` for media and stops without them; a tokenizer reads `<|im_end|>` as the end of
    the turn. Tokens of all chat families count, so that a file fits whatever model is trained next.
    """
    found = _SPECIAL.search(text)
    return found.group() if found else ""


T = TypeVar("T")


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("is blank")
    return text


def _not_empty(items: tuple[T, ...]) -> tuple[T, ...]:
    if not items:
        raise ValueError("is empty")
    return items


def _no_special(text: str) -> str:
    if token := special_token(text):
        raise ValueError(f"holds {token}, which models and trainers give a meaning to")
    return text


def _no_mark(text: str) -> str:
    if IMAGE_MARK in text:
        raise ValueError(f"holds {IMAGE_MARK}, which belongs into the prompt only")
    return text


def _lettered(choices: tuple[str, ...]) -> tuple[str, ...]:
    if len(choices) == 1 or len(choices) > len(ascii_uppercase):
        raise ValueError(f"are {len(choices)}: two at least, and one a letter ({len(ascii_uppercase)}) at most")
    return choices


Text = Annotated[str, AfterValidator(_not_blank)]
PromptText = Annotated[Text, AfterValidator(_no_special)]
PlainText = Annotated[PromptText, AfterValidator(_no_mark)]
Box = tuple[float, float, float, float]
NullAsEmpty = BeforeValidator(lambda items: () if items is None else items)  # parquet writers differ on empty lists


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Message(_Part):
    """One turn of the prompt."""

    role: Text
    content: PromptText


class RowImage(_Part):
    """An image file's bytes, see `pictures.FORMATS`; a path or URL beside them is never followed."""

    data: Annotated[bytes, Field(alias="bytes", repr=False)]

    def open(self) -> Image.Image:
        """Decode to RGB.

        Raises:
            ValueError: when the bytes are no whole image, or none that the policy can be shown.
        """
        return decode(self.data)


class RewardModel(_Part):
    """What the answer is compared with."""

    style: str = "rule"
    ground_truth: PlainText


class ExtraInfo(_Part):
    """What rewards and judges need to know about a row.

    Attributes:
        index: unique within the split.
        split: names the split; "train" is trained on.
        question: the user's question, as judges read it.
        choices: the options' texts in order; empty for a free answer.
        source: where the row comes from.
        boxes: ground-truth boxes, xyxy in raw pixels of the first image; empty where the row has none.
        width, height: of the first image, raw pixels.
    """

    index: int
    split: Text
    question: PlainText
    choices: Annotated[tuple[PlainText, ...], NullAsEmpty, AfterValidator(_lettered)]
    source: str = ""
    boxes: Annotated[tuple[Box, ...], NullAsEmpty]
    width: Annotated[int, Field(gt=0)]
    height: Annotated[int, Field(gt=0)]

    @model_validator(mode="after")
    def _boxes_inside(self) -> ExtraInfo:
        for x1, y1, x2, y2 in self.boxes:
            if not (0 <= x1 < x2 <= self.width and 0 <= y1 < y2 <= self.height):
                size = f"{self.width} x {self.height} pixels"
                raise ValueError(f"box [{x1:g}, {y1:g}, {x2:g}, {y2:g}] is not a box inside the image of {size}")
        return self


def parts_agree(prompt: str, images: int, answer: str, choices: Sequence[str]) -> None:
    """Compare a prompt with how many images it has, and an answer with its choices.

    Raises:
        ValueError: where they do not fit each other.
    """
    marks = prompt.count(IMAGE_MARK)
    if marks != images:
        raise ValueError(f"the prompt has {marks} {IMAGE_MARK} marks for {images} images")
    if not choices and normalize_answer(answer) in ("", "-"):
        raise ValueError(f"reward_model.ground_truth {answer!r} says nothing: no answer could match it")
    if choices and not named_by_text(answer, choices):
        raise ValueError(f"reward_model.ground_truth {answer!r} is none of the choices {list(choices)}")
    if same := same_options(choices):
        raise ValueError(f"extra_info.choices: {same[0]!r} and {same[1]!r} are the same answer")


class Row(_Part):
    """One question with its images and its answer.

    Attributes:
        data_source: name of the dataset.
        prompt: what the policy reads; every `<image>` in it stands for the next image.
        images: at least one.
        reward_model: holds the ground truth, the right option's text.
        extra_info: see `ExtraInfo`.
    """

    data_source: str
    prompt: Annotated[tuple[Message, ...], AfterValidator(_not_empty)]
    images: Annotated[tuple[RowImage, ...], NullAsEmpty, AfterValidator(_not_empty)]
    reward_model: RewardModel
    extra_info: ExtraInfo

    @model_validator(mode="after")
    def _parts_agree(self) -> Row:
        text = "".join(message.content for message in self.prompt)
        parts_agree(text, len(self.images), self.reward_model.ground_truth, self.extra_info.choices)
        return self

    def open_images(self) -> tuple[Image.Image, ...]:
        """Decode all images, RGB at their raw size.

        Raises:
            ValueError: when one is unreadable.
        """
        return tuple(image.open() for image in self.images)

    def boxes_at(self, width: int, height: int) -> tuple[Box, ...]:
        """The ground-truth boxes in pixels of the first image resized to width x height."""
        x, y = width / self.extra_info.width, height / self.extra_info.height
        return tuple((x1 * x, y1 * y, x2 * x, y2 * y) for x1, y1, x2, y2 in self.extra_info.boxes)


def explain(error: ValidationError) -> str:
    """What pydantic found wrong with a row or a record, on one line, without its values."""
    parts = []
    for item in error.errors(include_url=False):
        name = ".".join(map(str, item["loc"]))
        message = "is missing" if item["input"] is None else item["msg"].removeprefix("Value error, ")
        parts.append(f"{name}: {message}" if name else message)
    return "; ".join(parts)
