# A picture is opened in one place: there its format and its size are looked at before anything is decoded.
import re

from test_imports import modules

OPENS = re.compile(r"\bImage\.open\(|\bImageFile\.|from PIL\.Image import .*\bopen\b|\bimread\(|\bopen_image\(")
HERE = "easyr1_fgrpo.pictures"


def test_pictures_are_opened_in_one_place():
    opening = {name: found for name, source in modules() if (found := OPENS.findall(source))}
    assert opening.pop(HERE) == ["Image.open("]
    assert not opening, f"{sorted(opening)}: open pictures with {HERE}.opened or .decode"
