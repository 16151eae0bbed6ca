"""The policies' operations against Pillow, whose results the published policies were searched with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from vit_jax.data.augment.operations import Operation, apply_operation
from vit_jax.data.augment.warp import affine_warp, rotation_matrix

FILL = 77

# No short fractions for translations: their weighted means often are whole levels, which Pillow may just miss.
ARGUMENTS = {
    Operation.IDENTITY: [0.0],
    Operation.SHEAR_X: [0.27, -0.99],
    Operation.SHEAR_Y: [-0.3, 0.5],
    Operation.TRANSLATE_X: [8.137, -3.0],
    Operation.TRANSLATE_Y: [-9.723, 32.0],
    Operation.ROTATE: [27.0, -135.0, 90.0],
    Operation.BRIGHTNESS: [0.19, 1.81],
    Operation.CONTRAST: [0.19, 1.81],
    Operation.COLOR: [0.0, 0.19, 1.81],
    Operation.SHARPNESS: [0.19, 1.99],
    Operation.POSTERIZE: [1.0, 4.0, 8.0],
    Operation.SOLARIZE: [0.0, 128.0, 144.5, 256.0],
    Operation.SOLARIZE_ADD: [99.0, 110.0],
    Operation.INVERT: [0.0],
    Operation.AUTO_CONTRAST: [0.0],
    Operation.EQUALIZE: [0.0],
}
CASES = [(operation, argument) for operation, arguments in ARGUMENTS.items() for argument in arguments]

EXACT = set(Operation) - {
    Operation.SHEAR_X,
    Operation.SHEAR_Y,
    Operation.TRANSLATE_X,
    Operation.TRANSLATE_Y,
    Operation.ROTATE,
    Operation.AUTO_CONTRAST,
}
"""What Pillow computes in whole numbers or in float32, as we do: equal to the last bit."""

apply_one = jax.jit(apply_operation, static_argnums=3)
apply_batch = jax.jit(jax.vmap(apply_operation, in_axes=(0, 0, 0, None)), static_argnums=3)


def test_every_operation_has_a_case() -> None:
    assert set(ARGUMENTS) == set(Operation)


@pytest.mark.parametrize("shape", [(32, 30, 3), (30, 32, 1)], ids=str)
def test_every_operation_equals_pillow(shape, pictures, pillow_operation) -> None:
    """Tables, blends and the smoothing filter exactly; warps and autocontrast but for one level in up to 2% of pixels.

    Both truncate there, but warps are float32 here and float64 in Pillow, so may fall on different sides of a whole
    level; and autocontrast is exact here, while Pillow's float64 product may come out just below a whole level.
    """
    images = np.repeat(pictures(2, *shape), len(CASES), axis=0)
    cases = CASES * 2
    operations, arguments = zip(*cases, strict=True)
    ours = np.asarray(apply_batch(images, jnp.array(operations), jnp.array(arguments, jnp.float32), FILL))

    for image, (operation, argument), result in zip(images, cases, ours, strict=True):
        difference = np.abs(result - pillow_operation(image, operation, argument, FILL))
        name = f"{operation.name} {argument}"
        if operation in EXACT:
            assert difference.max() == 0, name
        else:
            assert difference.max() <= 1, name
            assert (difference > 0).mean() <= 0.02, name
        assert result.dtype == np.float32
        assert np.array_equal(result, result.round()), name


def test_autocontrast_is_exact(pictures) -> None:
    images = pictures(1, 24, 20, 3)
    ours = apply_batch(images, jnp.array([Operation.AUTO_CONTRAST]), jnp.zeros(1), FILL)
    whole = images.astype(int)
    lowest, highest = whole.min((1, 2)), whole.max((1, 2))
    np.testing.assert_array_equal(ours, (whole - lowest) * 255 // (highest - lowest))


def test_two_and_four_channels_take_their_mean_as_grey(pictures) -> None:
    for channels in (2, 4):
        image = pictures(1, 6, 5, channels)[0]
        grey = apply_one(jnp.asarray(image), jnp.int32(Operation.COLOR), jnp.float32(0), FILL)
        expected = np.floor(image.mean(-1, keepdims=True) + 0.5)
        np.testing.assert_array_equal(grey, np.broadcast_to(expected, image.shape))


def test_equalize_and_autocontrast_leave_a_constant_channel_alone(pictures, pillow_operation) -> None:
    images = pictures(1, 24, 20, 3)
    images[..., 1] = 140
    for operation in (Operation.EQUALIZE, Operation.AUTO_CONTRAST):
        ours = np.asarray(apply_batch(images, jnp.array([operation]), jnp.zeros(1), FILL))[0]
        assert np.abs(ours - pillow_operation(images[0], operation, 0.0, FILL)).max() <= 1
        assert np.all(ours[..., 1] == 140)


def test_tiny_images_pass_through_every_operation() -> None:
    """Rows or columns without an interior: nothing to smooth, and no error."""
    for shape in ((1, 1, 1), (1, 5, 3), (2, 2, 3)):
        image = jnp.full(shape, 9.0)
        for operation in (Operation.SHARPNESS, Operation.EQUALIZE, Operation.ROTATE):
            result = apply_one(image, jnp.int32(operation), jnp.float32(0), FILL)
            np.testing.assert_array_equal(result, image)


def test_affine_warp_equals_pillow_in_floating_point(pictures) -> None:
    """Unrounded, so a wrong half pixel shows. 0.01 levels: float32 coordinates of 1e-5 pixels on slopes of 255."""
    image = pictures(1, 24, 20, 1)[0]
    matrices = [
        np.array([[1, 0.37, -1.3], [0.11, 0.9, 2.21]]),
        np.asarray(rotation_matrix(jnp.float32(33), (24, 20)), np.float64),
    ]
    picture = Image.fromarray(image[..., 0])
    for matrix in matrices:
        ours = affine_warp(jnp.asarray(image), jnp.asarray(matrix, jnp.float32), FILL)
        bilinear = Image.Resampling.BILINEAR
        theirs = picture.transform(
            picture.size, Image.Transform.AFFINE, matrix.ravel().tolist(), bilinear, fillcolor=FILL
        )
        np.testing.assert_allclose(ours[..., 0], np.asarray(theirs), atol=0.01)


def test_a_positive_angle_turns_counterclockwise_about_the_centre() -> None:
    image = jnp.zeros((5, 5, 1)).at[2, 4].set(200.0)  # right of the centre
    turned = apply_one(image, jnp.int32(Operation.ROTATE), jnp.float32(90), 0)
    np.testing.assert_array_equal(turned, jnp.zeros((5, 5, 1)).at[0, 2].set(200.0))  # above it
