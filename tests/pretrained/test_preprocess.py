"""One image to the network's input."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vit_jax
from vit_jax.data.decoding import read_upright
from vit_jax.models.preprocessing import Preprocessing
from vit_jax.pretrained import preprocess


def model(channels=3, **settings):
    return vit_jax.create_model(
        "vit_tiny_patch4_32", image_size=(32, 48), in_channels=channels, preprocessing=Preprocessing(**settings)
    )


def picture(height, width, channels=3):
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)


def test_an_image_of_the_models_size_is_only_normalised():
    image = picture(32, 48)
    result = vit_jax.preprocessing(model(mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7)))(image)
    np.testing.assert_allclose(result, (image / 255 - [0.1, 0.2, 0.3]) / [0.5, 0.6, 0.7], atol=1e-6)
    assert result.dtype == np.float32


def test_another_size_is_scaled_to_cover_and_cropped_at_the_centre():
    """100 x 300 to 32 x 48: the height rules, 96 columns of which the middle 48 stay."""
    image = Image.fromarray(picture(100, 300))
    expected = np.asarray(image.resize((96, 32), Image.Resampling.BICUBIC).crop((24, 0, 72, 32)), np.float32)
    result = vit_jax.preprocessing(model(mean=(0.0,), std=(1.0,)))(image)
    np.testing.assert_allclose(result * 255, expected, atol=1e-3)


def test_crop_fraction_leaves_a_margin():
    image = Image.fromarray(picture(64, 96))
    expected = np.asarray(image.crop((24, 16, 72, 48)), np.float32)  # half of each side, no resize
    result = vit_jax.preprocessing(model(mean=(0.0,), std=(1.0,), crop_fraction=0.5))(image)
    np.testing.assert_allclose(result * 255, expected, atol=1e-3)


def test_modes_become_the_models_channels():
    grey = Image.fromarray(picture(32, 48)[:, :, 0])
    assert vit_jax.preprocessing(model())(grey).shape == (32, 48, 3)
    assert vit_jax.preprocessing(model(channels=1))(picture(32, 48)).shape == (32, 48, 1)
    assert vit_jax.preprocessing(model())(Image.new("RGBA", (9, 9))).shape == (32, 48, 3)
    one = picture(32, 48, 1)
    np.testing.assert_array_equal(
        vit_jax.preprocessing(model(channels=1))(one), vit_jax.preprocessing(model(channels=1))(one[:, :, 0])
    )


def test_the_longer_side_is_rounded_down():
    """As timm, torchvision and Hugging Face do: else every pixel is resampled at another place."""
    network = vit_jax.create_model("vit_tiny_patch16_224", preprocessing=Preprocessing(crop_fraction=0.9))
    assert preprocess.covering(network, (500, 375))[0] == (330, 248)  # 330.67
    assert preprocess.covering(network, (375, 500))[0] == (248, 330)


def test_other_channels_are_refused():
    network = vit_jax.create_model("vit_tiny_patch4_32", in_channels=4, preprocessing=Preprocessing())
    with pytest.raises(ValueError, match="takes images of 4 channels: prepare arrays"):
        vit_jax.preprocessing(network)


def test_means_for_other_channels_are_refused_with_what_to_do():
    """Before an image is read, of which nothing would be wrong."""
    network = vit_jax.create_model("deit_tiny_patch16_224", in_channels=1)
    with pytest.raises(ValueError, match=r"3 channel means for images of 1 channels: .*Preprocessing\(mean=0\.449"):
        vit_jax.preprocessing(network)


def test_preprocessing_can_be_sent_to_another_process():
    image = picture(60, 50)
    prepare = vit_jax.preprocessing(model())
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(prepare))(image), prepare(image))


def test_a_pil_image_becomes_what_its_file_is_read_as(tmp_path):
    """By training and by `vit-jax predict`: 16-bit grey, transparency and the camera's orientation."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.full((32, 48), 20_000, np.uint16)).save(tmp_path / "16-bit.png")
    Image.new("RGBA", (48, 32)).save(tmp_path / "transparent.png")
    Image.fromarray(picture(48, 32)).save(tmp_path / "turned.png", exif=exif)
    for file in tmp_path.iterdir():
        with Image.open(file) as image:
            np.testing.assert_array_equal(
                vit_jax.preprocessing(model())(image), vit_jax.preprocessing(model())(read_upright(file))
            )
    assert vit_jax.preprocessing(model())(Image.open(tmp_path / "16-bit.png")).max() < 0  # not white


def test_a_very_long_image_takes_no_more_memory_than_its_centre(monkeypatch):
    image = Image.fromarray(np.repeat(np.repeat(picture(2, 30), 3, axis=0), 3, axis=1))  # 6 x 90 to 32 x 480
    expected = vit_jax.preprocessing(model())(image)
    monkeypatch.setattr(preprocess, "MAX_PIXELS", 32 * 480 - 1)
    made, resize = [], Image.Image.resize

    def spy(self, size, *args):
        made.append(size)
        return resize(self, size, *args)

    monkeypatch.setattr(Image.Image, "resize", spy)
    np.testing.assert_allclose(vit_jax.preprocessing(model())(image), expected, atol=0.02)
    assert made == [(48, 32)]


BATCH = r"; of a batch: np\.stack\(\[preprocess\(image\) for image in images\]\)"
LAST, WHOLE = r"; channels come last: image\.transpose\(1, 2, 0\)", "; pixels are whole numbers from 0 to 255"


@pytest.mark.parametrize(
    ("wrong", "answer"),
    [
        (np.zeros((4, 4, 2), np.uint8), r"uint8 \[4, 4, 2\]"),
        (np.zeros(4, np.uint8), r"uint8 \[4\]"),
        (np.zeros((0, 4, 3), np.uint8), r"uint8 \[0, 4, 3\]"),
        (np.zeros((4, 4, 3), np.float32), rf"float32 \[4, 4, 3\]{WHOLE}"),
        (np.zeros((3, 4, 3), np.float32), rf"float32 \[3, 4, 3\]{WHOLE}"),
        (np.zeros((3, 4, 5), np.uint8), rf"uint8 \[3, 4, 5\]{LAST}"),
        (np.zeros((3, 4, 5), np.float32), rf"float32 \[3, 4, 5\]{LAST}{WHOLE}"),
        (np.zeros((4, 20, 20, 3), np.uint8), rf"uint8 \[4, 20, 20, 3\]{BATCH}"),
        ([picture(4, 5), picture(6, 7)], f"a list{BATCH}"),
        ("cat.png", r"a str; open it with PIL\.Image\.open\(path\)"),
        (Path("cat.png"), r"a PosixPath; open it with PIL\.Image\.open\(path\)"),
    ],
)
def test_what_is_not_one_image_is_answered_with_what_to_do(wrong, answer):
    with pytest.raises(ValueError, match=rf"^an image is PIL's or uint8 \[H, W\] or \[H, W, 1 or 3\], not {answer}$"):
        vit_jax.preprocessing(model())(wrong)


def test_an_image_without_pixels_is_refused():
    with pytest.raises(ValueError, match="the image has no pixels: it is of 0 x 5"):
        vit_jax.preprocessing(model())(Image.new("RGB", (0, 5)))
