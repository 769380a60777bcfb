"""Makes the photos and references.npz of this folder: python make.py FOLDER_WITH_THE_ORIGINALS

The originals are chelsea.png, coffee.png and rocket.jpg of scikit-image's data (CC0 / public domain). Needs numpy and
Pillow before 13 (which takes the two passes of a resize in another order at some sizes).
references.npz holds, for each line of CASES, what Pillow and numpy make of the photo: (h, w, c) in f32.
"""

import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

HERE = Path(__file__).parent
TORCH = dict(scale=1 / 255, order="rgb", mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
CAFFE = dict(scale=1.0, order="bgr", mean=[103.939, 116.779, 123.68], std=[1.0] * 3)
SYMMETRIC = dict(scale=1.0, order="rgb", mean=[127.5] * 3, std=[127.5] * 3)
UNIT = dict(scale=1.0, order="rgb", mean=[0.0] * 3, std=[255.0] * 3)

# name of the reference: photo, resize (None squashes), (h, w, c), arithmetic
CASES = {
    "caffe_landscape": ("coffee.png", 40, (32, 32, 3), CAFFE),
    "torch_enlarged": ("coffee.png", 120, (40, 30, 3), TORCH),
    "symmetric_squash": ("coffee.png", None, (29, 23, 3), SYMMETRIC),
    "unit_one_channel": ("coffee.png", 33, (32, 31, 1), UNIT),
    "caffe_gray": ("gray.png", 40, (24, 24, 3), CAFFE),
    "unit_bits": ("bits.png", 40, (20, 20, 3), UNIT),
    "unit_palette": ("palette.png", 40, (20, 20, 3), UNIT),
    "unit_alpha": ("alpha.png", 40, (20, 20, 3), UNIT),
    "unit_deep": ("deep.png", 40, (20, 20, 3), UNIT),
    "unit_turned_png": ("turned.png", 40, (30, 20, 3), UNIT),
    "caffe_jpeg": ("rocket.jpg", 40, (32, 32, 3), CAFFE),
    "caffe_progressive": ("progressive.jpg", 40, (32, 32, 3), CAFFE),
    "caffe_cmyk": ("cmyk.jpg", 40, (32, 32, 3), CAFFE),
    "unit_gray_jpeg": ("gray.jpg", 40, (20, 20, 1), UNIT),
    "unit_turned": ("turned.jpg", None, (30, 20, 3), UNIT),
}


def photos(originals):
    def small(name, width, height):
        return Image.open(originals / name).convert("RGB").resize((width, height), Image.LANCZOS)

    coffee, cat, rocket = small("coffee.png", 96, 64), small("chelsea.png", 75, 50), small("rocket.jpg", 161, 107)
    coffee.save(HERE / "coffee.png")
    cat.convert("L").save(HERE / "gray.png")
    cat.convert("1").save(HERE / "bits.png")
    cat.quantize(14).save(HERE / "palette.png", bits=4)
    alpha = cat.copy()
    alpha.putalpha(Image.fromarray((np.indices((50, 75)).sum(0) * 2).astype("uint8")))
    alpha.save(HERE / "alpha.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    cat.save(HERE / "turned.png", exif=turned)
    deep(np.asarray(cat).astype("uint16") * 256 + 200, HERE / "deep.png")
    rocket.save(HERE / "rocket.jpg", quality=85)
    rocket.save(HERE / "progressive.jpg", quality=85, progressive=True)
    rocket.convert("CMYK").save(HERE / "cmyk.jpg", quality=85)
    rocket.convert("L").save(HERE / "gray.jpg", quality=85)
    rocket.save(HERE / "turned.jpg", quality=85, subsampling=0, exif=turned)


def deep(values, path):
    """A PNG of 16 bits a channel, which Pillow does not write."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)


def reference(photo, resize, size, arithmetic):
    h, w, c = size
    image = ImageOps.exif_transpose(Image.open(HERE / photo)).convert("L" if c == 1 else "RGB")
    shorter = min(image.size)
    to = (w, h) if resize is None else tuple(side * resize // shorter for side in image.size)
    image = image.resize(to, Image.BILINEAR)
    left, top = (to[0] - w) // 2, (to[1] - h) // 2
    pixels = np.asarray(image.crop((left, top, left + w, top + h)), np.float64).reshape(h, w, c)
    if arithmetic["order"] == "bgr":
        pixels = pixels[..., ::-1]
    x = (pixels * arithmetic["scale"] - arithmetic["mean"][:c]) / arithmetic["std"][:c]
    return x.astype(np.float32)


photos(Path(sys.argv[1]))
np.savez_compressed(HERE / "references.npz", **{name: reference(*case) for name, case in CASES.items()})
