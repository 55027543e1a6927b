"""What every benchmark gives: items, rejects, and how single results become its published number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from easyr1_fgrpo.published.pictures import LoadImages
from easyr1_fgrpo.rewards.response import Box


@dataclass(frozen=True)
class Item:
    """One question of a benchmark.

    Attributes:
        id: unique within the benchmark.
        benchmark: its registry name.
        load_images: decodes the images on call, so that those of a whole benchmark are never all held; safe in threads.
        question: without options, image marks and instructions on how to answer.
        choices: the options' texts in order; empty for a free answer.
        answer: the right option's text, or the free answer.
        category: the benchmark's own category.
        group: what items that belong together share (a pair of MMVP, the orders of one SAT-Real question, the source of
            a CV-Bench picture); "" where there is nothing of the kind.
        boxes: reference boxes, xyxy in raw pixels of the first image; empty where there are none.
        prompt: the messages that come with the question, `<image>` where an image goes; empty where there are none.
        content: hash of the file it comes from, where no published version stands for that; "" elsewhere.
    """

    id: str
    benchmark: str
    load_images: LoadImages = field(repr=False, compare=False)
    question: str
    choices: tuple[str, ...]
    answer: str
    category: str
    group: str = ""
    boxes: tuple[Box, ...] = ()
    prompt: tuple[Mapping[str, str], ...] = ()
    content: str = ""


@dataclass(frozen=True)
class Reject:
    """A row that is no item: which one, and why."""

    benchmark: str
    row: str
    reason: str


class ItemMeta(Protocol):
    """What an aggregation needs to know about an item; `Item` has it, and so may a stored result."""

    @property
    def id(self) -> str:
        """As in `Item`."""

    @property
    def category(self) -> str:
        """As in `Item`."""

    @property
    def group(self) -> str:
        """As in `Item`."""


class Benchmark(Protocol):
    """A benchmark: where it is published, its items, and its numbers."""

    @property
    def name(self) -> str:
        """Registry name."""

    @property
    def hub_id(self) -> str:
        """Dataset on the Hugging Face hub; "" when it is not published there."""

    @property
    def n_expected(self) -> int | None:
        """Items of the published version, rejects included; None when it has no fixed size."""

    def load(self, location: str | Path | None = None) -> Iterator[Item | Reject]:
        """Every row of the benchmark as an item or a reject.

        Args:
            location: a file or folder in the published layout; None downloads it from the hub.

        Raises:
            ValueError: when nothing can be read: no file, a truncated archive, a changed column.
        """

    def aggregate(self, correct: Mapping[str, float], items: Sequence[ItemMeta]) -> dict[str, float]:
        """The benchmark's numbers, in [0, 1].

        Args:
            correct: 1 for a right answer, 0 for a wrong one, by item id; an item that is not in it was not measured and
                enters no number.
            items: the items that were asked.

        Returns:
            "authors": as the benchmark's authors define it. "paper": as FGRPO Table 1 reports it. A number that nothing
            was measured for is absent.
        """
