"""Image files to uint8 arrays."""

import os
import stat
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TILELENGTH, TILEWIDTH, TiffImageFile

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
"""What is read, recognised by content. Pillow's other formats are off: they are rare, and some run old parsers."""

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

T = TypeVar("T")


class UnreadableImage(ValueError):
    """What was to be an image cannot be read as one; says which, and why."""


def image_size(path: Path | str, decode: bool = False) -> tuple[int, int]:
    """The (width, height) in pixels that an image file's header gives, whichever way up.

    Args:
        path: of the file.
        decode: whether to decode the image too, to see if it can be.

    Raises:
        UnreadableImage: not an image, or not one of the formats and sizes that are read; names the file.
    """
    return _open(path, str(path), lambda image: to_rgb(image).size if decode else image.size)


def read_upright(path: Path | str) -> Image.Image:
    """An image file as `to_rgb` makes it.

    Raises:
        UnreadableImage: an image that cannot be decoded; names the file.
    """
    return _open(path, str(path), to_rgb)


def read_square(path: Path | str, size: int) -> np.ndarray:
    """The centre square of an image file, uint8 [size, size, 3].

    Raises:
        UnreadableImage: an image that cannot be decoded; names the file.
    """
    return _open(path, str(path), lambda image: np.asarray(centre_square(to_rgb(image), size)))


def decode(encoded: bytes, channels: int, size: int | None, name: str) -> np.ndarray:
    """Decodes an image, uint8 [H, W, channels].

    Args:
        encoded: a file's bytes.
        channels: 3 for colour, 1 for grey.
        size: None: as it is. Otherwise the centre square, resized to size x size.
        name: what the image is called in the error.

    Raises:
        UnreadableImage: an image that cannot be decoded.
    """

    def pixels(image: Image.Image) -> np.ndarray:
        image = to_rgb(image)
        image = image if size is None else centre_square(image, size)
        return np.asarray(image) if channels == 3 else np.asarray(image.convert("L"))[:, :, None]

    return _open(BytesIO(encoded), name, pixels)


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


def centre_square(image: Image.Image, size: int) -> Image.Image:
    """The largest centred square of an image, resized to size x size (bicubic, antialiased).

    This is "resize the shorter side to `size`, then crop the centre" without ever making the parts that are cropped
    away, which for a very long image are larger than memory.
    """
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    return image.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))


def check_size(width: int, height: int, what: str) -> None:
    """Raises ValueError for more than `MAX_PIXELS`."""
    if width * height > MAX_PIXELS:
        raise ValueError(f"{what} {width:,} x {height:,} pixels, which is more than {MAX_PIXELS:,}")


def _open(file: Path | str | BytesIO, name: str, read: Callable[[Image.Image], T]) -> T:
    try:
        if not isinstance(file, BytesIO) and not stat.S_ISREG(os.stat(file).st_mode):
            raise ValueError("it is no file, but a pipe, a folder or a device")  # a pipe would be waited for
        with Image.open(file, formats=FORMATS) as image:
            check_size(*image.size, "it is")
            if isinstance(image, TiffImageFile) and TILEWIDTH in image.tag_v2:
                check_size(image.tag_v2[TILEWIDTH], image.tag_v2[TILELENGTH], "its tiles are")
            return read(image)
    # Pillow's decoders raise OSError, SyntaxError, struct.error, EOFError and more for a damaged file.
    except Exception as error:
        reason = f"not a {', '.join(FORMATS)} file" if isinstance(error, Image.UnidentifiedImageError) else error
        raise UnreadableImage(f"{name} cannot be read as an image: {reason}") from error
