"""Small picture files of every kind, with the pixels that everybody is to see of them."""

import struct
import zlib
from io import BytesIO

import numpy as np
from PIL import Image


def saved(image, form="PNG", **more):
    buffer = BytesIO()
    image.save(buffer, form, **more)
    return buffer.getvalue()


def pixels(mode, *values):
    image = Image.new(mode, (len(values), 1))
    image.putdata(values)
    return image


def palette(*colours):
    image = Image.new("P", (len(colours), 1))
    image.putpalette([part for colour in colours for part in colour])
    image.putdata(range(len(colours)))
    return image


def grey16(*values):
    return Image.fromarray(np.array([values], np.uint16))


def tiff(values, bits, photometric=1):
    """A TIFF of one row of grey; 12 bits are packed, two values in three bytes."""
    packed = "".join(f"{value:0{bits}b}" for value in values)
    data = int(packed, 2).to_bytes(len(packed) // 8, "big")
    if bits == 16:
        data = np.array(values, "<u2").tobytes()
    tags = {256: len(values), 257: 1, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: 1, 279: len(data)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = struct.pack("<2sHI", b"II", 42, 8 + len(data))
    return head + data + struct.pack("<H", len(tags)) + entries + bytes(4)


RED, BLUE, WHITE, PINK = (255, 0, 0), (0, 0, 255), (255, 255, 255), (255, 127, 127)
TURNED = Image.Exif()
TURNED[0x112] = 6

# What a file holds -> its pixels as everybody sees them. Half transparent red on white: 255 - 128 = 127.
FILES = {
    "RGB": (saved(pixels("RGB", RED, BLUE)), [RED, BLUE]),
    "RGBA": (saved(pixels("RGBA", (*RED, 0), (*RED, 128), (*BLUE, 255))), [WHITE, PINK, BLUE]),
    "RGBA in WebP": (saved(pixels("RGBA", (*RED, 0), (*BLUE, 255)), "WEBP", lossless=True), [WHITE, BLUE]),
    "LA": (saved(pixels("LA", (0, 0), (0, 128), (9, 255))), [WHITE, (127,) * 3, (9,) * 3]),
    "P": (saved(palette(RED, BLUE)), [RED, BLUE]),
    "P, one index": (saved(palette(RED, BLUE), transparency=0), [WHITE, BLUE]),
    "P, alpha a colour": (saved(palette(RED, RED, BLUE), transparency=b"\x00\x80\xff"), [WHITE, PINK, BLUE]),
    "GIF": (saved(palette(RED, BLUE), "GIF", transparency=0), [WHITE, BLUE]),
    "RGB, one colour": (saved(pixels("RGB", RED, BLUE), transparency=RED), [WHITE, BLUE]),
    "L, one grey": (saved(pixels("L", 10, 200), transparency=10), [WHITE, (200,) * 3]),
    "1": (saved(pixels("1", 0, 255)), [(0,) * 3, WHITE]),
    "1, black": (saved(pixels("1", 0, 255), transparency=0), [WHITE, WHITE]),
    # 16 bits: v / 257, rounded
    "I;16": (saved(grey16(0, 255, 32768, 65535)), [(0,) * 3, (1,) * 3, (128,) * 3, WHITE]),
    "I;16, one grey": (saved(grey16(0, 25700), transparency=25700), [(0,) * 3, WHITE]),
    "I;16, dark": (saved(grey16(0, 128, 129, 255)), [(0,) * 3, (0,) * 3, (1,) * 3, (1,) * 3]),
    "I;16 of 12 bits": (tiff((0, 257, 2048, 4095), bits=12), [(0,) * 3, (16,) * 3, (128,) * 3, WHITE]),
    "I;16 in TIFF": (saved(grey16(257, 65535), "TIFF"), [(1,) * 3, WHITE]),
    "CMYK": (saved(pixels("CMYK", (0, 255, 255, 0), (255, 255, 0, 0)), "TIFF"), [RED, BLUE]),
    # Neither qwen_vl_utils nor vLLM turns a picture.
    "turned": (saved(pixels("RGB", RED, RED), exif=TURNED), [RED, RED]),
    "animated": (saved(pixels("RGB", RED), "GIF", save_all=True, append_images=[pixels("RGB", BLUE)]), [RED]),
}


def qwen_to_rgb(pil_image):
    """As in qwen_vl_utils 0.0.14, vision_process.py, word for word; tests/gpu_path asks the package itself."""
    if pil_image.mode == "RGBA":
        white_background = Image.new("RGB", pil_image.size, (255, 255, 255))
        white_background.paste(pil_image, mask=pil_image.split()[3])  # Use alpha channel as mask
        return white_background
    else:
        return pil_image.convert("RGB")


EPS = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 10 10
%%EndComments
(ran) print
%%EOF
"""


def bomb(side):
    """A PNG's header of `side` x `side` pixels of one bit, and nothing behind it."""
    small = saved(Image.new("1", (1, 1)))
    head = b"IHDR" + side.to_bytes(4, "big") * 2 + small[24:29]
    return small[:12] + head + zlib.crc32(head).to_bytes(4, "big") + small[33:]
