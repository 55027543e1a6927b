"""A response's boxes are pixels of the image as it was sent, whatever the style writes."""

from __future__ import annotations

from types import SimpleNamespace

from PIL import Image

from easyr1_fgrpo.evaluation.scoring.score import read
from easyr1_fgrpo.evaluation.styles import STYLES

SENT = [SimpleNamespace(image=Image.new("RGB", (200, 100)))]
RESPONSE = "<think>It <bbox>[100,100,500,1000]</bbox> is left of <bbox>[1,2]</bbox>.</think><answer>left</answer>"


def test_thousandths_are_pixels_after_reading():
    parsed = read(RESPONSE, STYLES["ours_thousand"], SENT)
    assert parsed.boxes == ((20.0, 10.0, 100.0, 100.0),)
    assert parsed.n_boxes == 2  # the malformed one counts in N of FGRPO Eq. 1
    assert "[20,10,100,100]" in parsed.trace  # what judges read


def test_pixels_stay():
    parsed = read(RESPONSE, STYLES["ours"], SENT)
    assert parsed.boxes == ((100.0, 100.0, 500.0, 1000.0),)
    assert (parsed.answer, parsed.n_boxes, parsed.well_formed) == ("left", 2, True)
