import shutil

import numpy as np
import pytest
from PIL import Image

from easyr1_fgrpo.generation.processor import as_seen, encode, load_processor


def user(content):
    return [{"role": "user", "content": content}]


def test_a_prompt_is_encoded_as_the_processor_encodes_the_whole_message(generator):
    picture = Image.fromarray(np.arange(84 * 84 * 3, dtype=np.uint8).reshape(84, 84, 3))
    text = (
        "<|im_start|>user<|vision_start|><|image_pad|><|vision_end|>Is red left or right of blue?<|im_end|>"
        "<|im_start|>assistant"
    )
    expected = generator.processor(text=[text], images=[picture])["input_ids"][0]
    ids, images = encode(generator.processor, user("<image>Is red left or right of blue?"), [picture])
    assert ids == tuple(expected)
    assert ids.count(generator.image_id) == 9  # 84 px / 28 px a merged patch = 3 a side
    assert images[0].tobytes() == picture.tobytes()


def test_images_come_out_at_the_size_the_model_sees(generator):
    ids, (image,) = encode(generator.processor, user("<image>Is red left?"), [Image.new("RGBA", (400, 300), "red")])
    assert (image.mode, image.width % 28, image.height % 28) == ("RGB", 0, 0)
    assert image.width * image.height <= 16 * 84 * 84  # the miniature processor's max_pixels
    assert ids.count(generator.image_id) == (image.width // 28) * (image.height // 28)
    assert encode(generator.processor, user("<image>Is red left?"), [image])[1][0].size == image.size


def test_an_image_alone_is_seen_as_in_a_prompt(generator):
    for size in ((400, 300), (84, 84), (30, 500)):
        image = Image.effect_noise(size, 50)
        seen = as_seen(generator.processor, image)
        _, (expected,) = encode(generator.processor, user("<image>Is red left?"), [image])
        assert (seen.size, seen.tobytes()) == (expected.size, expected.tobytes())


def test_images_stand_where_their_marks_stand(generator):
    pictures = [Image.new("RGB", (84, 84), "red"), Image.new("RGB", (168, 84), "blue")]
    ids, images = encode(generator.processor, user("Is <image> left of <image>?"), pictures)
    placeholders = [token == generator.image_id for token in ids]
    runs = [len(run) for run in "".join(" x"[flag] for flag in placeholders).split()]
    assert runs == [9, 18]
    assert [image.size for image in images] == [(84, 84), (168, 84)]


def test_a_prompt_without_images(generator):
    ids, images = encode(generator.processor, user("Is red left?"), [])
    assert generator.image_id not in ids
    assert images == ()


def test_marks_and_images_must_agree(generator):
    with pytest.raises(ValueError, match="2 <image> marks and 1 images"):
        encode(generator.processor, user("<image><image>"), [Image.new("RGB", (84, 84))])


def test_a_checkpoint_without_a_processor_is_refused(checkpoint, tmp_path):
    folder = tmp_path / "bare"
    shutil.copytree(checkpoint, folder)
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(OSError, match=str(folder)):
        load_processor(str(folder))


def test_a_text_model_has_no_processor_for_images(checkpoint, tmp_path):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(checkpoint / name, tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(ValueError, match="holds no tokenizer and no image_processor"):
        load_processor(str(tmp_path))
