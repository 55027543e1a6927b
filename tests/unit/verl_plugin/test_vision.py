from base64 import b64encode

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from easyr1_fgrpo.verl_plugin.cpu.vision import fetch_image, process_vision_info, stand_in


def message(*parts, role="user"):
    return {"role": role, "content": list(parts)}


@given(st.integers(1, 400), st.integers(1, 400), st.sampled_from([14, 16]))
def test_both_sides_are_multiples_of_two_patches(width, height, patch):
    if max(width, height) / min(width, height) > 200:
        return
    image = fetch_image(Image.new("RGB", (width, height)), patch)
    assert image.width % (2 * patch) == image.height % (2 * patch) == 0
    assert image.width * image.height >= 4 * (2 * patch) ** 2


def test_a_fitting_image_stays_as_it_is():
    pixels = np.random.default_rng(0).integers(0, 256, (56, 84, 3), dtype=np.uint8)
    np.testing.assert_array_equal(np.asarray(fetch_image({"image": Image.fromarray(pixels)})), pixels)


def test_bytes_path_data_url_and_image_are_the_same_picture(tmp_path, png):
    path = tmp_path / "a.png"
    path.write_bytes(png)
    sources = [png, str(path), path, f"file://{path}", Image.open(path)]
    sources.append(f"data:image;base64,{b64encode(png).decode()}")
    pictures = [fetch_image({"image": source}) for source in sources] + [fetch_image({"bytes": png})]
    for picture in pictures:
        # 100 x 60 pixels: 100/28 = 3.6 and 60/28 = 2.1 round to 4 and 2
        assert picture.size == (112, 56)
        assert picture.mode == "RGB"
        assert picture.getpixel((5, 5)) == (200, 30, 40)


@pytest.mark.parametrize(
    ("budget", "size"),
    [
        ({"max_pixels": 28 * 28 * 2}, (28, 28)),  # beta = sqrt(6000 / 1568) = 1.956: 51.1 x 30.7, cut down
        ({"min_pixels": 28 * 28 * 20}, (168, 112)),  # beta = sqrt(15680 / 6000) = 1.617: 161.7 x 97, rounded up
        ({}, (112, 56)),
    ],
)
def test_a_message_may_bound_the_pixels(png, budget, size):
    assert fetch_image({"image": png, **budget}).size == size


def test_a_large_image_keeps_its_size_up_to_16384_tokens():
    assert fetch_image(Image.new("RGB", (1960, 1400))).size == (1960, 1400)  # 3,500 tokens
    shrunk = fetch_image(Image.new("RGB", (28 * 130, 28 * 130)))  # 16,900 tokens
    assert shrunk.size == (28 * 128, 28 * 128)


def test_what_cannot_be_read_is_refused(subtests):
    for element in [{"image": 7}, {"type": "image"}, {"image": None}]:
        with subtests.test(element=element), pytest.raises(ValueError, match="give a PIL image, bytes or a local path"):
            fetch_image(element)


def test_images_of_a_conversation_in_order(png):
    red, blue = (Image.new("RGB", (56, 56), colour) for colour in ("red", "blue"))
    conversation = [
        {"role": "system", "content": "Look."},
        message({"type": "image", "image": red}, {"type": "text", "text": "and"}, {"type": "image", "image": png}),
        message({"type": "image", "image": blue}),
    ]
    images, videos = process_vision_info(conversation, image_patch_size=14, return_video_metadata=True)
    assert [image.getpixel((0, 0)) for image in images] == [(255, 0, 0), (200, 30, 40), (0, 0, 255)]
    assert videos is None


def test_no_images_are_none_as_in_qwen_vl_utils():
    assert process_vision_info([message({"type": "text", "text": "hello"})]) == (None, None)


def test_videos_are_refused():
    with pytest.raises(ValueError, match="videos need qwen_vl_utils"):
        process_vision_info([message({"type": "video", "video": "a.mp4"})])


def test_verls_data_code_finds_the_stand_in(png, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "qwen_vl_utils", stand_in())
    from verl.utils.dataset.vision_utils import process_image

    assert process_image({"bytes": png}, image_patch_size=14).size == (112, 56)
