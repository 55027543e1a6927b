import base64
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from easyr1_fgrpo.evaluation.answers.pictures import PATCH, fitting_size, prepare
from easyr1_fgrpo.pictures import image_sha256

SIDES = st.integers(30, 4000)


def noise(width, height):
    return Image.effect_noise((width, height), 80).convert("RGB")


@given(SIDES, SIDES)
def test_a_fitting_size_is_near_and_in_whole_patches(width, height):
    sides = fitting_size(width, height, None)
    assert all(side % PATCH == 0 for side in sides)
    assert all(abs(fitted - side) <= PATCH / 2 for fitted, side in zip(sides, (width, height), strict=True))


@given(SIDES, SIDES, st.sampled_from([(3136, 100_000), (256 * 784, 1280 * 784)]))
def test_a_budget_is_kept_and_so_is_the_shape(width, height, pixels):
    fitted = fitting_size(width, height, pixels)
    assert all(side % PATCH == 0 for side in fitted)
    if 1 / 4 < width / height < 4:
        assert pixels[0] <= fitted[0] * fitted[1] <= pixels[1]
        assert fitted[0] / fitted[1] == pytest.approx(width / height, rel=0.5)


def test_what_fits_is_sent_as_it_is():
    image = noise(84, 56)
    (picture,) = prepare([image], None, fit=True)
    assert picture.image.tobytes() == image.tobytes()
    head, _, data = picture.data_url.partition(",")
    sent = Image.open(BytesIO(base64.b64decode(data)))
    assert (head, sent.tobytes()) == ("data:image/png;base64", image.tobytes())
    assert picture.sha256 == image_sha256(image)


def test_sides_are_fitted_only_where_the_model_writes_pixels():
    image = noise(100, 60)
    assert prepare([image], None, fit=True)[0].image.size == (112, 56)
    assert prepare([image], None, fit=False)[0].image.size == (100, 60)
    large = prepare([noise(200, 120)], (3136, 20_000), fit=False)[0]
    assert (large.image.size, large.raw_size) == ((168, 84), (200, 120))


def test_an_image_is_kept_under_its_hash(tmp_path):
    for _ in range(2):
        (picture,) = prepare([noise(28, 28)], None, fit=True)
        picture.save(tmp_path)
        with Image.open(tmp_path / f"{picture.sha256}.png") as kept:
            assert image_sha256(kept) == picture.sha256
    assert len(list(tmp_path.iterdir())) == 2
