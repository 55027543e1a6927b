import pytest
from source_files import picture

from .imported import PICTURES


@pytest.fixture
def home(tmp_path):
    (tmp_path / "images").mkdir()
    for number in range(PICTURES):
        (tmp_path / "images" / f"{number}.png").write_bytes(picture(number, 100, 50, "PNG"))
    return tmp_path
