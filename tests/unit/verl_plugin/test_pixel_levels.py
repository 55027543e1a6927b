"""A byte a pixel and channel on the way, and the same floats, bit for bit, where they are read."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from verl.utils.model import extract_multi_modal_inputs

from easyr1_fgrpo.verl_plugin.pixel_levels import TABLE, in_levels

floats_only = extract_multi_modal_inputs.__wrapped__
QWEN2_5 = Qwen2VLImageProcessorPil(min_pixels=28 * 28, max_pixels=400 * 400)
QWEN3 = Qwen2VLImageProcessorPil(
    min_pixels=32 * 32, max_pixels=400 * 400, patch_size=16, image_mean=[0.5] * 3, image_std=[0.5] * 3
)


def noise(width, height, seed):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def processed(processor, *images):
    return dict(processor(images=list(images), return_tensors="pt"))


def assert_same_bits(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        assert ours[name].dtype == expected.dtype
        assert ours[name].is_contiguous()
        assert torch.equal(ours[name].view(torch.uint8), expected.view(torch.uint8)), name


@given(
    st.sampled_from([QWEN2_5, QWEN3]),
    st.lists(st.tuples(st.integers(20, 500), st.integers(20, 500), st.integers(0, 99)), min_size=1, max_size=3),
)
def test_pictures_of_any_size_come_back_bit_for_bit(processor, pictures):
    rows = [processed(processor, noise(*picture)) for picture in pictures]
    rows.append(processed(processor, *(noise(*picture) for picture in pictures)))
    sent = [in_levels(row, processor) for row in rows]
    for levels, floats in zip(sent, rows, strict=True):
        assert levels["pixel_values"].dtype == torch.uint8
        assert 8 * levels["pixel_values"].nbytes == floats["pixel_values"].nbytes
    assert_same_bits(extract_multi_modal_inputs(sent), floats_only(rows))


def test_rows_without_pictures_and_rows_in_floats_keep_their_places():
    """A picture whose floats no table gives back goes as floats; text has none."""
    first, second, third = (processed(QWEN2_5, noise(60, 90, seed)) for seed in (1, 2, 3))
    sent = [{}, in_levels(first, QWEN2_5), None, second, in_levels(third, QWEN2_5), {}]
    assert_same_bits(extract_multi_modal_inputs(sent), floats_only([first, second, third]))
    assert_same_bits(extract_multi_modal_inputs(sent, [4, 1, 9]), floats_only([third, first]))
    assert_same_bits(extract_multi_modal_inputs([second, {}]), floats_only([second]))
    assert extract_multi_modal_inputs([{}, None]) == extract_multi_modal_inputs([]) == {}
    assert TABLE in sent[1]  # the rows themselves are as they were


@pytest.mark.parametrize(
    "change",
    [
        lambda row: row["pixel_values"][7, 50].add_(1e-3),
        lambda row: row["pixel_values"][0, 0].copy_(torch.nan),
        lambda row: row["pixel_values"].copy_(
            torch.linspace(-2, 2, row["pixel_values"].numel()).view_as(row["pixel_values"])
        ),
        lambda row: row.update(pixel_values=row["pixel_values"].to(torch.bfloat16)),
        lambda row: row.update(pixel_values=row["pixel_values"][:, :-1].contiguous()),
        lambda row: row.update(pixel_values=row["pixel_values"].view(-1, 3, 392)),
        lambda row: row.pop("pixel_values"),
    ],
)
def test_what_no_table_gives_back_stays_as_it_is(change):
    row = processed(QWEN2_5, noise(60, 90, 1))
    change(row)
    assert in_levels(row, QWEN2_5) is row


def test_another_processor_than_the_one_that_made_the_floats_is_found_out():
    row = processed(QWEN2_5, noise(60, 90, 1))
    assert in_levels(row, QWEN3) is row
    assert in_levels(row, None) is row
    assert in_levels(row, object()) is row


def test_unread_levels_would_not_pass_for_pixel_values(tiny_model):
    row = in_levels(processed(QWEN2_5, noise(84, 84, 1)), QWEN2_5)
    with pytest.raises((RuntimeError, IndexError)):
        tiny_model.model.visual(row["pixel_values"].float(), grid_thw=row["image_grid_thw"])
