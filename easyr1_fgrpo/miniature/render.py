"""A scene as a picture: 84 x 84 pixels, shapes on a noisy gradient."""

from __future__ import annotations

import hashlib
import io

import numpy as np
from PIL import Image, ImageDraw

from easyr1_fgrpo.miniature.scene import SIDE, Scene
from easyr1_fgrpo.pictures import rgb

PAINT = {
    "red": (220, 40, 40),
    "blue": (40, 70, 220),
    "green": (40, 170, 60),
    "yellow": (230, 210, 50),
    "purple": (150, 60, 180),
}
NOISE = 4  # grey levels either side


def render(scene: Scene, rng: np.random.Generator) -> Image.Image:
    """Draw the scene on a random grey gradient with pixel noise; the same generator state gives the same picture."""
    picture = Image.fromarray(_background(rng), "RGB")
    draw = ImageDraw.Draw(picture)
    for thing in scene:
        x1, y1, x2, y2 = thing.box
        inside = (x1, y1, x2 - 1, y2 - 1)  # PIL draws the last pixel too
        if thing.shape == "circle":
            draw.ellipse(inside, fill=PAINT[thing.colour])
        elif thing.shape == "square":
            draw.rectangle(inside, fill=PAINT[thing.colour])
        else:
            draw.polygon([(x1, y2 - 1), (x2 - 1, y2 - 1), ((x1 + x2) // 2, y1)], fill=PAINT[thing.colour])
    return picture


def png(picture: Image.Image) -> bytes:
    """The picture as PNG bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", compress_level=1)  # three times as fast, a tenth bigger
    return buffer.getvalue()


def fingerprint(picture: Image.Image) -> str:
    """SHA-256 of the decoded RGB pixels: what a picture is known by, whatever file it came from."""
    return hashlib.sha256(rgb(picture).tobytes()).hexdigest()


def _background(rng: np.random.Generator) -> np.ndarray:
    """Grey levels (84, 84, 3), brightest 235: no shape's colour."""
    start, slope_x, slope_y = rng.uniform(150, 200), *rng.uniform(-0.35, 0.35, size=2)
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    grey = start + slope_x * x + slope_y * y + rng.integers(-NOISE, NOISE + 1, size=(SIDE, SIDE))
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[:, :, None], 3, axis=2)
