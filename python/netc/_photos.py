"""Pictures of Pillow, which need not be installed."""

import sys
from typing import Any


def pixels_of(picture: Any) -> Any:
    """Return the pixels of a PIL image.

    Parameters
    ----------
    picture : object
        Anything.

    Returns
    -------
    array of uint8, shape (h, w) or (h, w, 3), or None
        The pixels with the orientation of the EXIF data applied, gray or RGB, of 16 bits the upper half as of a file; None if
        it is no PIL image.

    Raises
    ------
    ValueError
        If its values have no fixed range, and go beyond 8 bits.
    """
    # Without the module nobody can have made such an image.
    module = sys.modules.get("PIL.Image")
    if module is None or not isinstance(picture, module.Image):
        return None
    import numpy
    from PIL import ImageOps

    turned = ImageOps.exif_transpose(picture)
    # Pillow converts these by clipping.
    if turned.mode.startswith("I;16"):
        return (numpy.asarray(turned) >> 8).astype(numpy.uint8)
    if turned.mode in ("I", "F"):
        low, high = turned.getextrema()
        if not 0 <= low <= high <= 255:
            raise ValueError(f"a PIL image of mode {turned.mode} with values from {low} to {high}: scale them to 0 to 255")
    return numpy.asarray(turned if turned.mode in ("L", "RGB") else turned.convert("RGB"))
