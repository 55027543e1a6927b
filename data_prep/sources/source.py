"""What a source declares about itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from data_prep.sources.item import Item


@dataclass(frozen=True)
class Source:
    """One public data set.

    Attributes:
        name: `data_source` of its rows.
        hub: its id on the Hugging Face hub.
        licence: of the annotations, as the hub's card has it.
        files: glob patterns of its records; the first that finds anything counts.
        read: a record -> an item; raises `Reject`, or pydantic's ValidationError for what is no record of the source.
        exchanges: turns of user and assistant that a question takes in the `conversations` of a record, which may have
            several questions; 0 where a record is one question.
        held_out: a word in file names that are never read, because they are a benchmark.
        image_hub: where its pictures are; "" when the records hold them.
        archives: glob patterns of their archives there; the first that finds anything counts.
        parts: unpack only pictures with one of these folders in their path; all when empty.
    """

    name: str
    hub: str
    licence: str
    files: tuple[str, ...]
    read: Callable[[dict[str, Any]], Item]
    exchanges: int = 0
    held_out: str = ""
    image_hub: str = ""
    archives: tuple[str, ...] = ()
    parts: frozenset[str] = frozenset()
