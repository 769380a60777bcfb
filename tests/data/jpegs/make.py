"""Makes the JPEGs of this folder and pixels.npz: python make.py CHELSEA.PNG

chelsea.png is of scikit-image's data (CC0, Stéfan van der Walt). Needs numpy and Pillow (made with 13.0.0, which decodes
by libjpeg-turbo 3.2.0). pixels.npz holds what Pillow makes of each file: (h, w) for gray ones, else (h, w, 3), turned as
the EXIF orientation says.
"""

import random
import struct
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

HERE = Path(__file__).parent


def photos(original):
    cat = Image.open(original).convert("RGB").crop((110, 60, 330, 226))
    small = {side: cat.resize(side, Image.LANCZOS) for side in [(61, 47), (33, 34), (16, 16), (5, 3), (1, 1)]}

    def save(name, image, **how):
        image.save(HERE / f"{name}.jpg", **{"quality": 85, **how})

    for (width, height), image in small.items():
        for sampling in ["4:4:4", "4:2:2", "4:2:0"]:
            save(f"{sampling.replace(':', '')}_{width}x{height}", image, subsampling=sampling)
    image = small[61, 47]
    save("coarse", image, quality=12)
    save("progressive", image, progressive=True)
    save("progressive_444", image, progressive=True, subsampling="4:4:4")
    save("restarts", image, restart_marker_blocks=2)
    save("rgb", image, keep_rgb=True)
    save("gray", image.convert("L"))
    save("gray_progressive", image.convert("L"), progressive=True)
    save("cmyk", image.convert("CMYK"))
    save("cmyk_progressive", image.convert("CMYK"), progressive=True)
    # The same inks, said to be luma, two chromas and black.
    inks = (HERE / "cmyk.jpg").read_bytes()
    at = inks.index(b"Adobe") + 11
    (HERE / "ycck.jpg").write_bytes(inks[:at] + b"\2" + inks[at + 1 :])
    for order, kind, value in [("<", 3, 6), (">", 3, 6), ("<", 4, 6), (">", 4, 6), (">", 4, 8)]:
        field = struct.pack(order + ("HH" if kind == 3 else "I"), *([value, 0] if kind == 3 else [value]))
        start = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HIH", 42, 8, 1)
        entry = struct.pack(order + "HHI", 0x0112, kind, 1) + field + struct.pack(order + "I", 0)
        name = f"turned_{'long' if kind == 4 else 'short'}_{'big' if order == '>' else 'little'}_{value}"
        save(name, small[33, 34], exif=b"Exif\0\0" + start + entry)


class Bits:
    """Entropy-coded data."""

    def __init__(self):
        self.bytes, self.value, self.count = bytearray(), 0, 0

    def put(self, value, count):
        self.value, self.count = self.value << count | value, self.count + count
        while self.count >= 8:
            self.count -= 8
            self.bytes += bytes([self.value >> self.count & 255])
            if self.bytes[-1] == 255:
                self.bytes += b"\0"
        self.value &= (1 << self.count) - 1


JFIF = b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"


def noise(factors, width, height, seed, application=JFIF):
    """A baseline JPEG of any sampling factors with coefficients by chance; every Huffman code has eight bits."""
    dice = random.Random(seed)
    symbols = [0x00, 0xF0] + [run << 4 | size for run in range(16) for size in range(1, 11)]
    code = {symbol: number for number, symbol in enumerate(symbols)}
    bits = Bits()

    def number(value):
        size = abs(value).bit_length()
        return size, value if value > 0 else value + (1 << size) - 1

    def block(before):
        value = dice.randint(-60, 60)
        size, coded = number(value - before)
        bits.put(size, 8)
        bits.put(coded, size)
        at = 1
        for _ in range(dice.randint(0, 4)):
            run = dice.randint(0, 9)
            size, coded = number(dice.choice([-1, 1]) * dice.randint(1, 20))
            bits.put(code[run << 4 | size], 8)
            bits.put(coded, size)
            at += run + 1
        bits.put(code[0], 8)
        return value

    across, down = (max(f[axis] for f in factors) for axis in (0, 1))
    before = [0] * len(factors)
    for _ in range(-(-width // (8 * across)) * -(-height // (8 * down))):
        for component, (x, y) in enumerate(factors):
            for _ in range(x * y):
                before[component] = block(before[component])
    bits.put(127, 7)
    counts = bytes([0] * 7 + [len(symbols)] + [0] * 8)
    tables = {0: bytes([0] * 7 + [12] + [0] * 8) + bytes(range(12)), 0x10: counts + bytes(symbols)}
    components = b"".join(bytes([i + 1, x << 4 | y, 0]) for i, (x, y) in enumerate(factors))
    parts = [
        b"\xff\xd8" + application,
        b"\xff\xdb\0\x43\0" + bytes([8] * 64),
        b"\xff\xc0" + struct.pack(">HBHHB", 8 + len(components), 8, height, width, len(factors)) + components,
        b"".join(b"\xff\xc4" + struct.pack(">HB", 3 + len(table), kind) + table for kind, table in tables.items()),
        b"\xff\xda" + struct.pack(">HB", 6 + 2 * len(factors), len(factors)),
        b"".join(bytes([i + 1, 0]) for i in range(len(factors))) + b"\0\x3f\0",
        bytes(bits.bytes),
        b"\xff\xd9",
    ]
    return b"".join(parts)


def pixels(path):
    image = ImageOps.exif_transpose(Image.open(path))
    return np.asarray(image if image.mode == "L" else image.convert("RGB"))


photos(Path(sys.argv[1]))
ONE = (1, 1)
for name, factors in {
    "411": [(4, 1), ONE, ONE],
    "440": [(1, 2), ONE, ONE],
    "410": [(4, 2), ONE, ONE],
    "441": [(1, 4), ONE, ONE],
    "two_chromas": [(2, 2), (2, 1), (1, 2)],
    "all_21": [(2, 1), (2, 1), (2, 1)],
    "gray_22": [(2, 2)],
}.items():
    (HERE / f"noise_{name}.jpg").write_bytes(noise(factors, 37, 29, 1))
files = sorted(HERE.glob("*.jpg"))
near = HERE / "near" / "ycck_420.jpg"
near.parent.mkdir(exist_ok=True)
adobe = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\2"
near.write_bytes(noise([(2, 2), ONE, ONE, (2, 2)], 37, 29, 1, adobe))
np.save(near.with_suffix(".npy"), pixels(near))
np.savez_compressed(HERE / "pixels.npz", **{path.stem: pixels(path) for path in files})
