"""The public sources, one file each; all of them end in the same `Item`."""

from __future__ import annotations

from data_prep.sources import sat, treevgr, vgr, visual_cot
from data_prep.sources.item import Item, Reject
from data_prep.sources.source import Source

SOURCES: dict[str, Source] = {room.SOURCE.name: room.SOURCE for room in (sat, vgr, visual_cot, treevgr)}
"""By name."""

__all__ = ["SOURCES", "Item", "Reject", "Source"]
