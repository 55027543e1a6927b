import base64
import hashlib
from io import BytesIO

from PIL import Image

from easyr1_fgrpo.pictures import data_url, image_sha256, save_picture, wire_png

PICTURE = Image.new("RGB", (2, 1))
PICTURE.putdata([(255, 0, 0), (0, 0, 255)])


def test_the_hash_is_of_size_and_pixels():
    assert image_sha256(PICTURE) == hashlib.sha256(b"2x1:\xff\x00\x00\x00\x00\xff").hexdigest()


def test_what_is_sent_is_what_was_seen():
    scheme, _, data = data_url(wire_png(PICTURE.convert("RGBA"))).partition(",")
    assert scheme == "data:image/png;base64"
    with Image.open(BytesIO(base64.b64decode(data))) as image:
        assert (image.mode, image.tobytes()) == ("RGB", PICTURE.tobytes())


def test_a_picture_that_is_saved_is_not_written_again(tmp_path):
    digest = save_picture(PICTURE, tmp_path)
    (tmp_path / f"{digest}.png").write_bytes(b"there")
    assert save_picture(PICTURE, tmp_path) == digest
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(f"{digest}.png", b"there")]
