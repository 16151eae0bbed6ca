"""Any image that Pillow opens, as an upright one of 8-bit RGB: what data sets and preprocessing have in common."""

import numpy as np
from PIL import Image

MAX_PIXELS = 2**28 // 3
"""The most pixels an image may have, 256 MiB as RGB: a small file can claim many more than there is memory for.

Decoding takes several times that, at most 1.6 GiB (a WebP image, or one with transparency).
"""

ORIENTATION = 0x0112
"""EXIF's tag."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings an image of each EXIF orientation upright."""


def to_rgb(image: Image.Image) -> Image.Image:
    """An upright 8-bit RGB image of any image: the first frame, on white where it is transparent.

    16-bit grey is scaled by 255 / 65535. The range of 32-bit pixels is not known, so they raise ValueError.
    """
    image = upright(image)
    if image.mode.startswith("I;16"):
        image = Image.fromarray(((np.asarray(image).astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise ValueError("it has 32-bit pixels, whose range is not known: save it with 8 or 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def upright(image: Image.Image) -> Image.Image:
    """An image as the camera was held.

    Only the orientation is read of what a camera wrote: whatever else in it is damaged, the pixels are whole. (Pillow's
    own `exif_transpose` writes all of it anew, and fails.)
    """
    image.load()  # Pillow turns a TIFF image itself; of other files, too, the end may say how they lie
    try:
        turn = TURNS.get(image.getexif().get(ORIENTATION, 1))
    except Exception:  # as many kinds as there are damages
        return image
    if turn is None:
        return image
    turned = image.transpose(turn)
    for kept in ("exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp"):  # else it would be turned again
        turned.info.pop(kept, None)
    return turned
