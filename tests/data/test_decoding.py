"""Image files to arrays."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vit_jax.data import decoding
from vit_jax.data.decoding import centre, decode, image_size, read_centre, read_upright

RNG = np.random.default_rng(0)
RGB = Image.fromarray(RNG.integers(0, 256, (6, 9, 3), np.uint8))


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "WEBP", "GIF", "JPEG"])
def test_formats_are_recognised_by_content_and_not_by_name(form: str, tmp_path: Path):
    path = tmp_path / "image.txt"
    RGB.save(path, form, **({"lossless": True} if form == "WEBP" else {}))
    image = read_centre(path, (6, 6))
    assert (image.shape, image.dtype) == ((6, 6, 3), np.uint8)
    assert image_size(path) == image_size(path, decode=True) == (9, 6)
    if form in ("PNG", "BMP", "TIFF", "WEBP"):
        np.testing.assert_array_equal(image, np.asarray(centre(RGB, (6, 6))))


@pytest.mark.parametrize("form", ["PPM", "ICO", "TGA", "PCX", "EPS"])
def test_other_formats_are_refused_under_any_name(form: str, tmp_path: Path):
    path = tmp_path / "image.png"
    RGB.save(path, form)
    for read in (image_size, lambda path: read_centre(path, (6, 6))):
        with pytest.raises(ValueError, match=r"image\.png cannot be read as an image: not a JPEG, PNG, WEBP"):
            read(path)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_32_bit_pixels_are_refused(mode: str, tmp_path: Path):
    Image.new(mode, (4, 4)).save(tmp_path / "deep.tiff")
    with pytest.raises(ValueError, match=r"deep\.tiff cannot be read as an image: it has 32-bit pixels"):
        read_centre(tmp_path / "deep.tiff", (4, 4))


def test_cmyk_becomes_colour(tmp_path: Path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "red.jpg", quality=100)
    np.testing.assert_allclose(read_centre(tmp_path / "red.jpg", (4, 4))[2, 2], [255, 0, 0], atol=3)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "TIFF"])
def test_the_first_frame_of_several_is_read(form: str, tmp_path: Path):
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "frames", form, save_all=True, append_images=frames[1:])
    np.testing.assert_allclose(read_centre(tmp_path / "frames", (4, 4))[1, 1], [255, 0, 0], atol=4)


def test_a_phone_s_jpeg_with_a_preview_is_read(tmp_path: Path):
    """They are MPO files: a JPEG followed by others."""
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[RGB])
    np.testing.assert_allclose(read_centre(tmp_path / "a.jpg", (4, 4))[1, 1], [255, 0, 0], atol=4)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_camera_s_orientation_is_applied(orientation: int):
    upright = np.zeros((4, 6, 3), np.uint8)
    upright[0, 0], upright[0, 5], upright[3, 0] = [255, 0, 0], [0, 255, 0], [0, 0, 255]
    stored = {  # what a camera that is held so writes
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(stored)).save(file, "PNG", exif=exif)
    np.testing.assert_array_equal(decode(file.getvalue(), 3, None, "image"), upright)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_an_image_whose_exif_is_damaged_is_read(form: str, tmp_path: Path):
    """Its pixels are whole; the orientation counts where it can be read."""
    image = Image.new("RGB", (12, 8), "red")
    image.save(tmp_path / "garbage", form, exif=b"Exif\0\0" + bytes(20))
    assert read_upright(tmp_path / "garbage").size == (12, 8)
    exif = Image.Exif()
    exif[0x0112], exif[0x0100] = 6, 8
    width = b"\x01\x00\x00\x04\x00\x00\x00\x01\x00\x00\x00\x08"  # the tag, LONG, one of them, 8
    mistyped = exif.tobytes().replace(width, b"\x01\x00\x00\x09\x00\x00\x00\x01\xff\xff\xff\xff")  # SLONG, -1
    assert mistyped != exif.tobytes()
    image.save(tmp_path / "mistyped", form, exif=mistyped)
    assert read_upright(tmp_path / "mistyped").size == (8, 12)


def test_the_centre_equals_resizing_to_cover_and_cropping():
    """Up to the crop's own border, where the filter would see what is cropped away."""
    noise = RNG.integers(0, 256, (60, 80, 3), np.uint8)
    square = np.asarray(centre(Image.fromarray(noise), (30, 30)))
    resized_whole = np.asarray(Image.fromarray(noise).resize((40, 30), Image.Resampling.BICUBIC))
    np.testing.assert_allclose(square[:, 2:-2].astype(int), resized_whole[:, 7:33], atol=2)
    tall = np.asarray(centre(Image.fromarray(noise.transpose(1, 0, 2)), (30, 30)))
    np.testing.assert_allclose(tall.transpose(1, 0, 2).astype(int), square, atol=2)
    wide = np.asarray(centre(Image.fromarray(noise), (16, 40)))
    np.testing.assert_allclose(wide[2:-2].astype(int), resized_whole[9:21], atol=2)
    narrow = np.asarray(centre(Image.fromarray(noise), (30, 20)))
    np.testing.assert_allclose(narrow[:, 2:-2].astype(int), resized_whole[:, 12:28], atol=2)
    np.testing.assert_array_equal(np.asarray(centre(Image.fromarray(noise), (30, 40))), resized_whole)


def test_resizing_is_antialiased():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    np.testing.assert_allclose(np.asarray(centre(Image.fromarray(stripes), (8, 8)))[1:-1, 1:-1], 127.5, atol=2)


def test_a_very_long_image_takes_no_more_memory_than_its_centre():
    assert np.asarray(centre(Image.new("RGB", (100_000, 1), "red"), (64, 64))).shape == (64, 64, 3)


def test_grey_is_kept_grey_where_asked():
    file = io.BytesIO()
    grey = RGB.convert("L")
    grey.save(file, "PNG")
    np.testing.assert_array_equal(decode(file.getvalue(), 1, None, "image"), np.asarray(grey)[..., None])
    assert decode(file.getvalue(), 3, None, "image").shape == (6, 9, 3)
    assert decode(file.getvalue(), 1, (4, 3), "image").shape == (4, 3, 1)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_damaged_image_is_named(form: str, tmp_path: Path):
    path = tmp_path / f"cut.{form.lower()}"
    Image.fromarray(RNG.integers(0, 256, (64, 64, 3), np.uint8)).save(path, form)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for read in (lambda: read_centre(path, (8, 8)), lambda: image_size(path, decode=True)):
        with pytest.raises(ValueError, match=rf"cut\.{form.lower()} cannot be read as an image: "):
            read()


def test_an_image_that_claims_too_many_pixels_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(decoding, "MAX_PIXELS", 100)
    Image.new("RGB", (11, 10)).save(tmp_path / "big.png")
    with pytest.raises(ValueError, match=r"big\.png .* it is 11 x 10 pixels, which is more than 100"):
        image_size(tmp_path / "big.png")
    Image.new("RGB", (10, 10)).save(tmp_path / "right.png")
    assert image_size(tmp_path / "right.png") == (10, 10)


@pytest.mark.filterwarnings("error")
def test_pillow_s_own_limit_is_told_the_same_way(tmp_path: Path):
    Image.new("RGB", (4, 4)).save(tmp_path / "bomb.bmp")
    header = bytearray((tmp_path / "bomb.bmp").read_bytes())
    struct.pack_into("<ii", header, 18, 20_000, 20_000)
    (tmp_path / "bomb.bmp").write_bytes(header)
    with pytest.raises(ValueError, match=r"bomb\.bmp cannot be read as an image: .*400000000 pixels"):
        image_size(tmp_path / "bomb.bmp")
