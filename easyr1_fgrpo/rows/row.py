"""One row of a dataset, in verl's columns: what each field means and must hold."""

from __future__ import annotations

from io import BytesIO
from typing import Annotated, TypeVar

from PIL import Image
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from easyr1_fgrpo.normal_form import named_by_text, same_options

IMAGE_MARK = "<image>"
"""Where an image stands in the text of a prompt."""

T = TypeVar("T")


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("is blank")
    return text


def _not_empty(items: tuple[T, ...]) -> tuple[T, ...]:
    if not items:
        raise ValueError("is empty")
    return items


Text = Annotated[str, AfterValidator(_not_blank)]
Box = tuple[float, float, float, float]
NullAsEmpty = BeforeValidator(lambda items: () if items is None else items)  # parquet writers differ on empty lists


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Message(_Part):
    """One turn of the prompt."""

    role: Text
    content: Text


class RowImage(_Part):
    """An image file's bytes, of any format that Pillow reads; a path or URL beside them is never followed."""

    data: Annotated[bytes, Field(alias="bytes", repr=False)]

    def open(self) -> Image.Image:
        """Decode to RGB.

        Raises:
            ValueError: when the bytes are no whole image.
        """
        try:
            with Image.open(BytesIO(self.data)) as image:
                return image.convert("RGB")
        except Exception as error:  # Pillow's decoders raise many kinds on damaged files
            raise ValueError(f"unreadable image ({type(error).__name__}: {error})") from error


class RewardModel(_Part):
    """What the answer is compared with."""

    style: str = "rule"
    ground_truth: Text


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
    question: Text
    choices: Annotated[tuple[Text, ...], NullAsEmpty]
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
        marks = sum(message.content.count(IMAGE_MARK) for message in self.prompt)
        if marks != len(self.images):
            raise ValueError(f"the prompt has {marks} {IMAGE_MARK} marks for {len(self.images)} images")
        answer, choices = self.reward_model.ground_truth, self.extra_info.choices
        if choices and not named_by_text(answer, choices):
            raise ValueError(f"reward_model.ground_truth {answer!r} is none of the choices {list(choices)}")
        if same := same_options(choices):
            raise ValueError(f"extra_info.choices: {same[0]!r} and {same[1]!r} are the same answer")
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
