import base64
import hashlib
import re
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from picture_files import EPS, FILES, TURNED, bomb, qwen_to_rgb, saved, tiff
from PIL import EpsImagePlugin, ExifTags, Image, ImageChops, ImageDraw, ImageStat
from PIL.PngImagePlugin import PngInfo
from sklearn.datasets import load_sample_image

from data_prep.sources.pictures import keep_bytes
from easyr1_fgrpo.judge_validation.questions import Images
from easyr1_fgrpo.pictures import data_url, decode, image_sha256, judged_file, plain_file, rgb, save_picture, wire_png
from easyr1_fgrpo.published.pictures import images
from easyr1_fgrpo.report.traces.thumbnails import linked, thumbnails
from easyr1_fgrpo.verl_plugin.cpu.vision import fetch_image

ROOT = Path(__file__).parents[2]

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


# ---------------------------------------------------------------------- what a judge gets

PHOTO = Image.fromarray(load_sample_image("china.jpg"))
DRAWING = Image.new("RGB", (600, 400), "white")
ImageDraw.Draw(DRAWING).ellipse((100, 50, 500, 350), "red", "blue", 9)


def seen_by_a_judge(image):
    file, media_type = judged_file(image)
    with Image.open(BytesIO(file)) as seen:
        assert (seen.mode, seen.get_format_mimetype()) == ("RGB", media_type)
        return seen.copy(), media_type, len(file)


def test_a_judge_sees_the_pixels_of_every_kind_of_file(subtests):
    for name, (file, _) in FILES.items():
        with subtests.test(name), Image.open(BytesIO(judged_file(decode(file))[0])) as seen:
            assert seen.convert("RGB").tobytes() == decode(file).tobytes()
            assert not seen.getexif()


def test_a_photograph_is_sent_at_half_its_size_and_a_drawing_without_loss(subtests):
    for name, image in {"colour": PHOTO, "grey": PHOTO.convert("L"), "resized": PHOTO.resize((1024, 700))}.items():
        with subtests.test(name):
            seen, media_type, size = seen_by_a_judge(image)
            assert media_type == "image/jpeg"
            assert size < 0.6 * len(wire_png(image))
            assert ImageStat.Stat(ImageChops.difference(seen, rgb(image))).mean[1] < 1.0
    drawings = {"flat": DRAWING, "palette": DRAWING.convert("P"), "alpha": DRAWING.convert("RGBA")}
    for name, image in drawings.items():
        with subtests.test(name):
            seen, media_type, _ = seen_by_a_judge(image)
            assert (media_type, seen.tobytes()) == ("image/png", rgb(image).tobytes())


def test_tiny_and_huge_pictures_lose_nothing():
    for image in (PHOTO.resize((1, 1)), PHOTO.resize((128, 128)), PHOTO.resize((1, 200)), PHOTO.resize((65_536, 328))):
        seen, media_type, _ = seen_by_a_judge(image)
        assert (media_type, seen.tobytes()) == ("image/png", image.tobytes())


def test_the_file_itself_is_sent_where_the_policy_sees_its_pixels(subtests):
    for form, more in {"JPEG": {"quality": 80}, "WEBP": {"quality": 80}}.items():
        with subtests.test(form):
            file = saved(PHOTO, form, **more)
            assert judged_file(decode(file)) == (file, f"image/{form.lower()}")
            for changed in (decode(file).resize((640, 420)), decode(file).copy(), decode(file).crop((0, 0, 300, 300))):
                assert judged_file(changed)[0] != file
    large = saved(PHOTO, "PNG")
    assert judged_file(decode(large))[1] == "image/jpeg"  # the least of both


def test_nothing_of_a_file_but_its_pixels_goes_to_a_judge(subtests):
    """A place, an author, a name under which vLLM would look for another picture: EXIF's ImageID."""
    said = b"51 N 0 W, by Ann"
    exif, text = Image.Exif(), PngInfo()
    exif[ExifTags.Base.ImageDescription] = said.decode()
    text.add_text("Author", said.decode())
    private = PngInfo()
    private.add(b"prVt", said, after_idat=True)
    plain, webp = saved(PHOTO, "JPEG", quality=80), saved(PHOTO, "WEBP", quality=80)
    files = {
        "EXIF": saved(PHOTO, "JPEG", quality=80, exif=exif),
        "turned": saved(PHOTO, "JPEG", quality=80, exif=TURNED),
        "comment": saved(PHOTO, "JPEG", quality=80, comment=said),
        "profile": saved(PHOTO, "JPEG", quality=80, icc_profile=said),
        "XMP": saved(PHOTO, "JPEG", quality=80, xmp=said),
        "marker": plain[:2] + b"\xff\xe5" + (2 + len(said)).to_bytes(2, "big") + said + plain[2:],
        "behind its end": plain + said,
        "behind it, another": plain + said + plain,
        "WebP, a chunk": webp[:4] + (len(webp) + 16).to_bytes(4, "little") + webp[8:] + b"MINE\x10\0\0\0" + said,
        "WebP": saved(PHOTO, "WEBP", quality=80, exif=exif),
        "PNG": saved(DRAWING, pnginfo=text),
        "PNG, behind its end": saved(DRAWING) + said,
        "PNG, a chunk": saved(DRAWING, pnginfo=private),
    }
    for name, file in files.items():
        with subtests.test(name):
            sent, _ = judged_file(decode(file))
            assert said not in sent
            assert sent != file
            with Image.open(BytesIO(sent)) as seen:
                assert not {"exif", "comment", "icc_profile", "xmp", "Author"} & seen.info.keys()


# ---------------------------------------------------------------------- one function makes a picture RGB


def test_every_kind_of_file_is_decoded_to_the_pixels_that_it_means(subtests):
    for name, (file, expected) in FILES.items():
        with subtests.test(name):
            seen = decode(file)
            assert (seen.mode, seen.size) == ("RGB", (len(expected), 1))
            assert [seen.getpixel((x, 0)) for x in range(seen.width)] == expected
            assert seen.tobytes() == rgb(Image.open(BytesIO(file))).tobytes()


def test_of_a_plain_file_every_reader_makes_the_same(subtests):
    for name, (file, _) in FILES.items():
        with subtests.test(name):
            plain, seen = plain_file(file), decode(file).tobytes()
            assert qwen_to_rgb(Image.open(BytesIO(plain))).tobytes() == seen
            assert Image.open(BytesIO(plain)).convert("RGB").tobytes() == seen  # LLaMA-Factory, verl's process_image
            assert plain_file(plain) == plain
            if name in ("RGB", "P", "1", "turned"):
                assert plain == file


def test_alpha_is_put_on_white_as_qwen_vl_utils_does_bit_for_bit():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 4), dtype=np.uint8)
    image = Image.fromarray(noise, "RGBA")
    assert rgb(image).tobytes() == qwen_to_rgb(image).tobytes()


def test_what_the_policy_cannot_be_shown_is_refused_by_what_is_wrong(subtests):
    wrong = {
        "2001 x 10 pixels: one side is more than 200 times the other": saved(Image.new("L", (2001, 10))),
        "10 x 2001 pixels: one side is more than 200 times the other": saved(Image.new("L", (10, 2001))),
        "8001 x 8000 pixels are more than 64,000,000": saved(Image.new("1", (8001, 8000))),
        "values of 0 to 0.5 (mode F) are no grey": saved(Image.fromarray(np.array([[0, 0.5]], np.float32)), "TIFF"),
        "values of 0 to 70000 (mode I) are no grey": saved(Image.fromarray(np.array([[0, 70000]], np.int32)), "TIFF"),
        "values of 0 to 255 (mode I) are no grey": saved(Image.fromarray(np.array([[0, 255]], np.int32)), "TIFF"),
        "a 16-bit TIFF in which white is 0": tiff((0, 4095), bits=16, photometric=0),
        "a TIFF with orientation mark 6": saved(Image.new("RGB", (2, 1)), "TIFF", exif=TURNED),
        "no picture file of PNG, JPEG, WEBP, GIF, BMP, TIFF": b"no picture",
        "OSError: ": saved(Image.effect_noise((64, 64), 60))[:-100],
    }
    for why, file in wrong.items():
        with subtests.test(why), pytest.raises(ValueError, match=re.escape(f"unreadable image ({why}")):
            decode(file)
    assert decode(saved(Image.new("L", (2000, 10)))).size == (2000, 10)


def test_nobody_else_makes_a_picture_rgb():
    for package in ("easyr1_fgrpo", "data_prep", "reward_servers", "recipes"):
        for path in (ROOT / package).rglob("*.py"):
            if path != ROOT / "easyr1_fgrpo/pictures.py":
                assert not re.search(r"""\.convert\(\s*["']RGB""", path.read_text()), path


def test_every_door_refuses_bombs_and_what_would_start_ghostscript_in_one_line(tmp_path, monkeypatch):
    """Below Pillow's warning, between its warning and its error, and beyond: the header alone says so."""
    monkeypatch.setattr(EpsImagePlugin.EpsImageFile, "load", lambda *_: pytest.fail("Ghostscript was started"))
    for file, why in [
        (EPS, "no picture file of PNG, JPEG"),
        (bomb(9_000), "9000 x 9000 pixels are more than 64,000,000"),
        (bomb(13_000), "13000 x 13000 pixels are more than 64,000,000"),
        (bomb(60_000), "more than 64,000,000 pixels"),
    ]:
        path = tmp_path / "a.png"
        path.write_bytes(file)
        doors = (
            lambda file=file: decode(file),
            lambda file=file: plain_file(file),
            lambda path=path: images([lambda: path.open("rb")], "row 1"),
            lambda path=path: fetch_image({"image": str(path)}),
            lambda path=path: keep_bytes(path.read_bytes()),
        )
        for door in doors:
            with pytest.raises(Exception, match="unreadable") as refused:
                door()
            assert why in str(refused.value)
            assert "\n" not in str(refused.value)
        for shown in (thumbnails, lambda files: linked(files, tmp_path / "page.html")):
            (problem,) = shown({"a": path})[1]
            assert why in problem
        assert Images([tmp_path]).size("a") is None
    (tmp_path / "bomb.png").write_bytes(bomb(13_000))
    program = f"from pathlib import Path; from {decode.__module__} import decode; decode(Path('bomb.png').read_bytes())"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "more than 64,000,000" in done.stderr
    assert "Warning" not in done.stderr  # Pillow's own
