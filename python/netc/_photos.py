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
        The pixels with the orientation of the EXIF data applied, gray or RGB; None if it is no PIL image.
    """
    # Without the module nobody can have made such an image.
    module = sys.modules.get("PIL.Image")
    if module is None or not isinstance(picture, module.Image):
        return None
    import numpy
    from PIL import ImageOps

    turned = ImageOps.exif_transpose(picture)
    return numpy.asarray(turned if turned.mode in ("L", "RGB") else turned.convert("RGB"))
