"""Image files to uint8 arrays."""

import errno
import os
import stat
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TILELENGTH, TILEWIDTH, TiffImageFile

from vit_jax.rgb import MAX_PIXELS, to_rgb

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
"""What is read, recognised by content. Pillow's other formats are off: they are rare, and some run old parsers."""

OF_THE_MACHINE = (
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE),
    *(errno.ETIMEDOUT, errno.ENOTCONN, errno.ECONNRESET, errno.EHOSTDOWN),
)
"""Errors that say nothing of a file: it is to be read when they are over, and not to be left out."""

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


def read_centre(path: Path | str, shape: tuple[int, int]) -> np.ndarray:
    """The centre of an image file, uint8 [*shape, 3].

    Raises:
        UnreadableImage: an image that cannot be decoded; names the file.
    """
    return _open(path, str(path), lambda image: np.asarray(centre(to_rgb(image), shape)))


def decode(encoded: bytes, channels: int, shape: tuple[int, int] | None, name: str) -> np.ndarray:
    """Decodes an image, uint8 [H, W, channels].

    Args:
        encoded: a file's bytes.
        channels: 3 for colour, 1 for grey.
        shape: None: as it is. Otherwise its centre, of this height and width.
        name: what the image is called in the error.

    Raises:
        UnreadableImage: an image that cannot be decoded.
    """

    def pixels(image: Image.Image) -> np.ndarray:
        image = to_rgb(image)
        image = image if shape is None else centre(image, shape)
        return np.asarray(image) if channels == 3 else np.asarray(image.convert("L"))[:, :, None]

    return _open(BytesIO(encoded), name, pixels)


def centre(image: Image.Image, shape: tuple[int, int]) -> Image.Image:
    """The largest centred part of an image that has the proportions of a shape (height, width), resized to it (bicubic,
    antialiased).

    This is "resize to cover the shape, then crop the centre" without ever making the parts that are cropped away, which
    for a very long image are larger than memory.
    """
    height, width = shape
    across, down = image.size
    if across * height > down * width:
        across = down * width / height
    else:
        down = across * height / width
    left, top = (image.width - across) / 2, (image.height - down) / 2
    return image.resize((width, height), Image.Resampling.BICUBIC, box=(left, top, left + across, top + down))


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
        if isinstance(error, OSError) and error.errno in OF_THE_MACHINE:
            raise
        reason = getattr(error, "strerror", None) or error  # of the system's, without the path, which is the name
        if isinstance(error, Image.UnidentifiedImageError):
            reason = f"not a {', '.join(FORMATS)} file"
        raise UnreadableImage(f"{name} cannot be read as an image: {reason}") from error
