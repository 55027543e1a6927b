from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq

from easyr1_fgrpo.verl_plugin.preflight.budget import prompt_problems, vanishes


def test_a_picture_that_would_be_resized_to_nothing():
    """qwen_vl_utils: beta = sqrt(width * height / max_pixels), the shorter side floor(side / beta / 28) * 28."""
    for width, height, max_pixels, gone in [
        (6000, 30, 7056, True),  # beta = 5.05: 30 / 5.05 = 5.9
        (30, 6000, 7056, True),
        (100, 8, 7056, False),  # 112 x 28 are few enough, nothing is shrunk
        (4000, 20, 50176, True),  # beta = 1.26: 15.8
        (4000, 20, 401408, False),  # 3996 x 28 are few enough
        (2800, 280, 7840, False),  # beta = 10: 28 are left
        (2800, 270, 7840, True),  # beta = 9.82: 27.5
    ]:
        assert vanishes(width, height, max_pixels, 14) == gone, (width, height, max_pixels)


def test_rows_with_such_a_picture_are_named(tmp_path):
    rows = [
        {"prompt": [{"role": "user", "content": "<image>?"}], "extra_info": {"width": width, "height": 30}}
        for width in (30, 6000, 6000)
    ]
    path = tmp_path / "train.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    images = SimpleNamespace(min_pixels=784, max_pixels=7056)
    data = SimpleNamespace(image_patch_size=14, max_prompt_length=512)
    (problem,) = prompt_problems(path, SimpleNamespace(fgrpo=SimpleNamespace(images=images), data=data))
    assert problem == (
        f"fgrpo.images.max_pixels=7056: 2 of 3 rows of {path} have a picture too long to be resized to it, row 1 with "
        "6000 x 30 pixels first; raise it or leave them out"
    )
