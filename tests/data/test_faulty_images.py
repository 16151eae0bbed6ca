"""Every way in which an image file can be unusual or bad, and what comes of it."""

import errno
import io
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vit_jax.data.decoding import UnreadableImage, image_size, read_centre

SIZE = 8
RED, WHITE = (255, 0, 0), (255, 255, 255)
Write = Callable[[Path], object]


def saved(image: Image.Image, form: str, **how: Any) -> Write:
    return lambda path: image.save(path, form, **how)


def encoded(image: Image.Image, form: str, **how: Any) -> bytearray:
    file = io.BytesIO()
    image.save(file, form, **how)
    return bytearray(file.getvalue())


def content(data: bytes) -> Write:
    return lambda path: path.write_bytes(data)


def plain(mode: str, color: Any) -> Image.Image:
    return Image.new(mode, (SIZE, SIZE), color)


def palette(color: Sequence[int]) -> Image.Image:
    image = plain("P", 1)
    image.putpalette([0, 0, 255, *color])
    return image


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def half(top: Any, bottom: Any) -> Image.Image:
    image = plain("RGB", top)
    image.paste(bottom, (0, SIZE // 2, SIZE, SIZE))
    return image


def noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of_16_bits(*pixel: int) -> bytes:
    """A PNG file of one color of 16 bits a channel, RGB or RGBA, which Pillow does not write."""
    header = struct.pack(">IIBBBBB", SIZE, SIZE, 16, {3: 2, 4: 6}[len(pixel)], 0, 0, 0)
    rows = SIZE * (b"\0" + SIZE * struct.pack(f">{len(pixel)}H", *pixel))
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def tiff_of_16_bits(*pixel: int) -> bytes:
    """An uncompressed TIFF file of one color of 16 bits a channel, RGB."""
    data, bits_at = SIZE * SIZE * struct.pack("<3H", *pixel), 8 + 2 + 12 * 9 + 4
    shapes = [(256, 3, 1, SIZE), (257, 3, 1, SIZE), (258, 3, 3, bits_at), (259, 3, 1, 1), (262, 3, 1, 2)]
    places = [(273, 4, 1, bits_at + 6), (277, 3, 1, 3), (278, 3, 1, SIZE), (279, 4, 1, len(data))]
    entries = b"".join(struct.pack("<HHII", *entry) for entry in shapes + places)
    header, bits = b"II*\0" + struct.pack("<IH", 8, 9), struct.pack("<3H", 16, 16, 16)
    return header + entries + bytes(4) + bits + data


READ = {
    "cmyk.jpg": (saved(plain("CMYK", (0, 255, 255, 0)), "JPEG", quality=100), RED),
    "cmyk.tiff": (saved(plain("CMYK", (0, 255, 255, 0)), "TIFF"), RED),
    "grey.png": (saved(plain("L", 77), "PNG"), (77, 77, 77)),
    "bilevel.tiff": (saved(plain("1", 1), "TIFF"), WHITE),
    "grey of 16 bits.png": (saved(Image.new("I;16", (SIZE, SIZE), 257 * 77), "PNG"), (77, 77, 77)),
    "grey of 16 bits.tiff": (saved(Image.new("I;16", (SIZE, SIZE), 65535), "TIFF"), WHITE),
    "color of 16 bits.png": (content(png_of_16_bits(65535, 257 * 77, 0)), (255, 77, 0)),
    "color of 16 bits, transparent.png": (content(png_of_16_bits(65535, 0, 0, 0)), WHITE),
    "color of 16 bits.tiff": (content(tiff_of_16_bits(65535, 257 * 77, 0)), (255, 77, 0)),
    "palette.png": (saved(palette(RED), "PNG"), RED),
    "palette.gif": (saved(palette(RED), "GIF"), RED),
    "palette.bmp": (saved(palette(RED), "BMP"), RED),
    "palette with a transparent entry.png": (saved(palette(RED), "PNG", transparency=1), WHITE),
    "palette with a transparent entry.gif": (saved(palette(RED), "GIF", transparency=1), WHITE),
    "palette, another entry transparent.png": (saved(palette(RED), "PNG", transparency=0), RED),
    "transparent.png": (saved(plain("RGBA", (*RED, 0)), "PNG"), WHITE),
    "half transparent.webp": (saved(plain("RGBA", (255, 0, 0, 51)), "WEBP", lossless=True), (255, 204, 204)),
    "animated.gif": (saved(plain("RGB", RED), "GIF", save_all=True, append_images=[plain("RGB", "blue")]), RED),
    "animated.webp": (
        saved(plain("RGB", RED), "WEBP", save_all=True, lossless=True, append_images=[plain("RGB", "blue")]),
        RED,
    ),
    "animated.png": (saved(plain("RGB", RED), "PNG", save_all=True, append_images=[plain("RGB", "blue")]), RED),
    "several pages.tiff": (saved(plain("RGB", RED), "TIFF", save_all=True, append_images=[plain("L", 0)]), RED),
    "wrong suffix.jpg": (saved(plain("RGB", RED), "PNG"), RED),
    "no suffix": (saved(plain("RGB", RED), "BMP"), RED),
}
"""By file name: how the file is written, and the colour it is read in."""


def png_bomb() -> bytes:
    """60,000 x 60,000 pixels of one bit, in 4 KB."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 1, 0, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(4_000_000), 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def tiff(width: int, height: int, tile: int) -> bytes:
    """A TIFF file of one compressed tile."""
    data = zlib.compress(bytes(100_000))
    tags = {256: width, 257: height, 258: 8, 259: 8, 262: 1, 277: 1, 322: tile, 323: tile, 324: 0, 325: len(data)}
    tags[324] = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + data


def webp_bomb() -> bytes:
    """A lossless WebP file whose header has 14 bits for each of width and height, all of them set."""
    data = encoded(plain("RGB", RED), "WEBP", lossless=True)
    place = data.index(b"VP8L") + 9
    (word,) = struct.unpack_from("<I", data, place)
    most = 16_383 - 1
    struct.pack_into("<I", data, place, word >> 28 << 28 | most << 14 | most)
    return bytes(data)


def claiming(data: bytearray, layout: str, place: int, side: int) -> bytes:
    """The file with another width and height written into its header."""
    struct.pack_into(layout, data, place, side, side)
    return bytes(data)


JPEG, GIF, BMP = (encoded(plain("RGB", RED), form) for form in ("JPEG", "GIF", "BMP"))
BOMBS = {
    "bomb.png": (png_bomb(), "3600000000 pixels"),
    "bomb.tiff": (tiff(60_000, 60_000, 64), "3600000000 pixels"),
    "bomb of a tile.tiff": (tiff(64, 64, 40_000), "its tiles are 40,000 x 40,000 pixels, which is more than"),
    "bomb.webp": (webp_bomb(), "268402689 pixels"),
    "bomb of a screen.gif": (claiming(GIF.copy(), "<HH", 6, 65_535), "4294836225 pixels"),
    "bomb of a frame.gif": (claiming(GIF.copy(), "<HH", GIF.index(b",") + 5, 65_535), "4294836225 pixels"),
    "bomb.jpg": (claiming(JPEG.copy(), ">HH", JPEG.index(b"\xff\xc0") + 5, 65_500), "4290250000 pixels"),
    "bomb.bmp": (claiming(BMP.copy(), "<ii", 18, 20_000), "400000000 pixels"),
    "a little too large.bmp": (
        claiming(BMP.copy(), "<ii", 18, 9_500),
        "it is 9,500 x 9,500 pixels, which is more",
    ),
    "bomb of a profile.png": (
        bytes(encoded(plain("L", 0), "PNG")[:33]) + chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(10**8), 9)),
        "too large",
    ),
}
"""By file name: small files that claim to be huge, and what is said of them."""

REFUSED = {
    "empty.png": (content(b""), "not a JPEG, PNG, WEBP, BMP, GIF, TIFF file"),
    "text.png": (content(b"not an image"), "not a JPEG"),
    "page.png": (content(b"<!DOCTYPE html><title>404</title>"), "not a JPEG"),
    "icon.png": (saved(plain("RGB", RED), "ICO"), "not a JPEG"),
    "script.png": (saved(plain("RGB", RED), "EPS"), "not a JPEG"),
    "photoshop.png": (
        content(b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 8, 8, 8, 3) + bytes(300)),
        "not a JPEG",
    ),
    "float.tiff": (saved(plain("F", 0.5), "TIFF"), "32-bit pixels, whose range is not known"),
    "header only.jpg": (content(bytes(encoded(noise(), "JPEG")[:60])), ""),
    "cut.jpg": (content(bytes(encoded(noise(), "JPEG")[:3000])), "truncated"),
    "cut.png": (content(bytes(encoded(noise(), "PNG")[:3000])), "truncated"),
    "zeros inside.png": (content(bytes(encoded(noise(), "PNG")[:3000]) + bytes(9000)), ""),
    "cut.webp": (content(bytes(encoded(noise(), "WEBP", lossless=True)[:3000])), ""),
    "dangling link.png": (lambda path: path.symlink_to("nowhere"), "No such file"),
    "link to itself.png": (lambda path: path.symlink_to(path.name), "symbolic links"),
    "folder.png": (lambda path: path.mkdir(), "it is no file"),
    "pipe.png": (lambda path: os.mkfifo(path), "it is no file"),
    "vanished.png": (lambda path: None, "No such file"),
}
"""By file name: how it is made, and what is said of it."""


@pytest.mark.parametrize("name", READ)
def test_it_is_read(name: str, tmp_path: Path):
    write, color = READ[name]
    write(tmp_path / name)
    image = read_centre(tmp_path / name, (SIZE, SIZE))
    assert (image.shape, image.dtype) == ((SIZE, SIZE, 3), np.uint8)
    np.testing.assert_allclose(
        image, np.broadcast_to(np.array(color, np.uint8), image.shape), atol=2 if "jpg" in name else 0
    )


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_the_camera_s_orientation_is_applied(form: str, tmp_path: Path):
    half(RED, "blue").save(tmp_path / "phone", form, exif=turned(), quality=100)
    image = read_centre(tmp_path / "phone", (SIZE, SIZE)).astype(int)
    np.testing.assert_allclose(image[:, : SIZE // 2 - 1], np.broadcast_to([0, 0, 255], (SIZE, 3, 3)), atol=40)
    np.testing.assert_allclose(image[:, SIZE // 2 + 1 :], np.broadcast_to(RED, (SIZE, 3, 3)), atol=40)


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_and_named(name: str, tmp_path: Path):
    write, reason = REFUSED[name]
    write(tmp_path / name)
    for read in (lambda path: image_size(path, decode=True), lambda path: read_centre(path, (SIZE, SIZE))):
        with pytest.raises(UnreadableImage, match=f"{name} cannot be read as an image: .*{reason}"):
            read(tmp_path / name)


def test_bombs_are_refused_without_taking_memory_for_them(tmp_path: Path):
    for name, (data, _) in BOMBS.items():
        (tmp_path / name).write_bytes(data)
        assert len(data) < 200_000
    program = f"""if True:
        import os, warnings
        from vit_jax.data.decoding import UnreadableImage, image_size, read_centre
        warnings.simplefilter("ignore")
        def most_memory():
            with open("/proc/self/status") as status:
                return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
        for name in {list(BOMBS)!r}:
            try:
                before = most_memory()
                read_centre({str(tmp_path)!r} + "/" + name, (8, 8))
            except UnreadableImage as error:
                print(error, "taking", round(most_memory() - before))
    """
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    for line, (name, (_, reason)) in zip(told.splitlines(), BOMBS.items(), strict=True):
        assert name in line
        assert reason in line
        assert int(line.split()[-1]) < 16  # MiB


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ESTALE])
def test_a_failure_of_the_machine_is_no_fault_of_the_file(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """With skip_unreadable the image would be left out, for the whole of the run."""
    Image.new("RGB", (SIZE, SIZE)).save(tmp_path / "a.png")

    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(OSError, match=os.strerror(number)):
        read_centre(tmp_path / "a.png", (SIZE, SIZE))
