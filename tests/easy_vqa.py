"""A data set in the format of easy-vqa (`pip install easy-vqa`), made here: the same questions about the same pictures.

`data/train/questions.json` is a JSON array of [question, answer, number of the picture], and
`data/train/images/NUMBER.png` shows one shape, 64 x 64 pixels.
"""

import json
import random

from PIL import Image, ImageDraw

COLOURS = {
    "red": (255, 0, 0),
    "blue": (0, 0, 255),
    "green": (0, 128, 0),
    "yellow": (255, 255, 0),
    "teal": (0, 128, 128),
}
SHAPES = ("circle", "rectangle", "triangle")


def make(folder, pictures=50, seed=0):
    """Write `questions.json` and `images/` into a folder: four questions a picture."""
    rng = random.Random(seed)
    (folder / "images").mkdir(parents=True)
    questions = []
    for number in range(pictures):
        colour, shape, other = rng.choice(list(COLOURS)), rng.choice(SHAPES), rng.choice(list(COLOURS))
        image = Image.new("RGB", (64, 64), tuple(rng.randrange(200, 256) for _ in range(3)))
        x, y, size = rng.randrange(30), rng.randrange(30), rng.randrange(15, 34)
        draw = ImageDraw.Draw(image)
        left, top, right, bottom = x, y, x + size, y + size
        outline = {
            "circle": (draw.ellipse, [left, top, right, bottom]),
            "rectangle": (draw.rectangle, [left, top, right, bottom]),
            "triangle": (draw.polygon, [left, bottom, right, bottom, left, top]),
        }
        stroke, corners = outline[shape]
        stroke(corners, fill=COLOURS[colour])
        image.save(folder / "images" / f"{number}.png")
        questions += [
            [f"what color is the {shape}?", colour, number],
            [f"what is the {colour} shape?", shape, number],
            [f"is there a {other} shape in the image?", "yes" if other == colour else "no", number],
            ["does the image contain a triangle?", "yes" if shape == "triangle" else "no", number],
        ]
    (folder / "questions.json").write_text(json.dumps(questions))
    return folder
