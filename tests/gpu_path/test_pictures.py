"""qwen_vl_utils itself, as the policy's pictures go through it: the pixels that judges and evaluation see."""

from base64 import b64encode
from io import BytesIO

import pytest
from picture_files import FILES
from PIL import Image

from easyr1_fgrpo.pictures import decode, plain_file

pytestmark = pytest.mark.gpu_path


def test_the_policy_sees_the_pixels_that_we_see() -> None:
    from qwen_vl_utils import fetch_image  # type: ignore[import-not-found,import-untyped,unused-ignore]

    for name, (file, _) in FILES.items():
        expected = fetch_image({"image": decode(file)})
        plain = plain_file(file)
        url = f"data:image;base64,{b64encode(plain).decode()}"
        for source in (Image.open(BytesIO(plain)), url):
            same = fetch_image({"image": source}).tobytes() == expected.tobytes()  # a diff of bytes takes minutes
            assert same, name
