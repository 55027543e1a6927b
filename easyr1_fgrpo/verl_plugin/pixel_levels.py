"""Pixel values as what they were made of: a byte a pixel and channel, and the float that the processor made of each.

What goes to the actor through the queue is an eighth of the floats then (four bytes each, for two frames of the same
picture), and bit for bit the same floats where the actor's engine reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import Any

import torch

VALUES, TABLE = "pixel_values", "pixel_table"
LEVELS = 256
PATCHES = 256
"""Turned into floats at a time: what is at hand then fits into a core's cache, and takes half the time."""


def in_levels(inputs: dict[str, Any], image_processor: Any) -> dict[str, Any]:
    """Inputs of a model whose pixel values are levels and their table, if these give back each bit; else the same ones.

    Args:
        inputs: `pixel_values` of shape (patches, channels * frames * pixels), if there are pictures.
        image_processor: made the values; says by which mean, deviation and factor, and of how many frames.

    Returns:
        `pixel_values` as uint8 (patches, channels, pixels), and `pixel_table`: float32 for (frame, channel, level).
    """
    values = inputs.get(VALUES)
    if values is None or values.dtype != torch.float32 or not _normalises(image_processor):
        return inputs
    mean, deviation = torch.tensor(image_processor.image_mean), torch.tensor(image_processor.image_std)
    frames, channels = image_processor.temporal_patch_size, len(mean)
    if values.dim() != 2 or values.shape[1] % (frames * channels):
        return inputs
    values = values.unflatten(1, (channels, frames, -1))
    levels = torch.empty(len(values), channels, values.shape[-1], dtype=torch.uint8)
    table = values.new_zeros(channels, LEVELS)
    for some, byte in zip(values[:, :, 0].split(PATCHES), levels.split(PATCHES), strict=True):
        number = (some * deviation.view(-1, 1)).add_(mean.view(-1, 1)).div_(image_processor.rescale_factor)
        byte.copy_(number.round_().clamp_(0, LEVELS - 1))
        for channel in range(channels):
            table[channel].scatter_(0, byte[:, channel].flatten().long(), some[:, channel].flatten())
    table = table.expand(frames, -1, -1)
    for some, same in zip(values.split(PATCHES), _floats(levels, table), strict=True):
        if not torch.equal(some.view(torch.int32), same.view(torch.int32)):
            return inputs
    return {**inputs, VALUES: levels, TABLE: table}


def reading_levels(extract: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """For rows that hold levels, too: verl's `extract_multi_modal_inputs`, by which engines read a micro-batch.

    The floats are made where the engine computes: an eighth of their bytes goes there.
    """

    @wraps(extract)
    def extract_multi_modal_inputs(batch_data: Sequence[Any], indices: list[int] | None = None) -> dict[str, Any]:
        from verl.utils.device import get_device_id

        chosen = batch_data if indices is None else [batch_data[i] for i in indices if i < len(batch_data)]
        rows = [getattr(row, "data", row) for row in chosen]
        shown = [row for row in rows if row and VALUES in row]
        if not any(TABLE in row for row in shown):
            return extract(rows)
        rest = [row and {name: value for name, value in row.items() if name not in (VALUES, TABLE)} for row in rows]
        return extract(rest) | {VALUES: _together(shown, get_device_id())}

    return extract_multi_modal_inputs


def _together(rows: Sequence[dict[str, torch.Tensor]], device: Any) -> torch.Tensor:
    """All pixel values of rows of which one has levels, as floats on a device: (patches, ...) in their order."""
    levels, table = next((row[VALUES], row[TABLE]) for row in rows if TABLE in row)
    counts = [len(row[VALUES]) for row in rows]
    values = torch.empty(sum(counts), levels.shape[1], table.shape[0], levels.shape[2], device=device)
    for row, part in zip(rows, values.split(counts), strict=True):
        if TABLE not in row:
            part.copy_(row[VALUES].view(part.shape))
            continue
        floats = _floats(row[VALUES].to(device), row[TABLE].to(device))
        for some, made in zip(part.split(PATCHES), floats, strict=True):
            some.copy_(made)
    return values.flatten(1)


def _floats(levels: torch.Tensor, table: torch.Tensor) -> Iterator[torch.Tensor]:
    """Of `PATCHES` at a time: (patches, channels, frames, pixels), all frames alike."""
    _, channels, pixels = levels.shape
    first = LEVELS * torch.arange(channels, dtype=torch.int32, device=levels.device).view(-1, 1)
    for some in levels.split(PATCHES):
        index = some.to(torch.int32).add_(first).flatten()
        frame = table[0].flatten().index_select(0, index).view(-1, channels, 1, pixels)
        yield frame.expand(-1, -1, len(table), -1)


def _normalises(image_processor: Any) -> bool:
    wanted = ("image_mean", "image_std", "rescale_factor", "temporal_patch_size")
    return all(getattr(image_processor, name, None) is not None for name in wanted)
