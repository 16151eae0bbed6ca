"""The policies' draws against the published tables and frequencies, and their results against Pillow's."""

import jax.numpy as jnp
import numpy as np
import pytest

from vit_jax.data.augment import CifarAutoAugment, RandAugment, TrivialAugment
from vit_jax.data.augment.operations import Operation
from vit_jax.data.augment.policies import CIFAR10_POLICY, FILL, TRIVIAL_OPERATIONS, Steps, SubPolicyStep, rand_arguments

SHAPE = (24, 20, 3)
SHEARS = [Operation.SHEAR_X, Operation.SHEAR_Y]
TRANSLATIONS = [Operation.TRANSLATE_X, Operation.TRANSLATE_Y]
ENHANCEMENTS = [Operation.BRIGHTNESS, Operation.CONTRAST, Operation.COLOR, Operation.SHARPNESS]


def frequencies(operations: np.ndarray) -> np.ndarray:
    return np.bincount(operations.ravel(), minlength=len(Operation)) / operations.size


def arguments_of(steps: Steps, operation: Operation) -> np.ndarray:
    return np.asarray(steps.argument)[np.asarray(steps.operation) == operation]


@pytest.mark.parametrize(
    "policy", [RandAugment(num_ops=3, probability=0.9), TrivialAugment(), CifarAutoAugment()], ids=repr
)
def test_a_policy_equals_pillow_on_the_same_draws(policy, pictures, draw, apply, pillow_operation) -> None:
    """Within one level in 99 of 100 pixels: warps and autocontrast may be one level off, which later steps enlarge."""
    images = pictures(60, *SHAPE)
    steps = draw(policy, 60, SHAPE)
    ours = apply(policy, images, steps)
    expected = images.copy()
    for i in range(60):
        for operation, argument in zip(steps.operation[i], steps.argument[i], strict=True):
            expected[i] = pillow_operation(expected[i], Operation(operation), float(argument), int(FILL))
    difference = np.abs(ours - expected)
    assert (difference <= 1).mean() > 0.99
    assert (difference == 0).mean() > 0.97


def test_policies_round_their_input_to_whole_levels(pictures) -> None:
    image = jnp.asarray(pictures(1, *SHAPE)[0])
    unchanged = Steps(jnp.array([Operation.IDENTITY]), jnp.zeros(1))
    np.testing.assert_array_equal(TrivialAugment().apply(image + 0.6, unchanged), (image + 1).clip(0, 255))


def test_rand_augment_draws_each_operation_equally_often(draw) -> None:
    operations = draw(RandAugment(num_ops=3, probability=0.6), 6000, SHAPE).operation
    expected = np.full(len(Operation), 0.6 / 15)
    expected[Operation.IDENTITY] = 0.4
    for step in range(3):
        np.testing.assert_allclose(frequencies(operations[:, step]), expected, atol=0.02)
    assert abs(np.corrcoef(operations[:, 0], operations[:, 1])[0, 1]) < 0.05


def published_rand_augment(level: float, sign: int) -> dict[Operation, float]:
    """timm's level functions (auto_augment.py) for an image of `SHAPE`, one by one."""
    height, width, _ = SHAPE
    posterize, solarize = int(level / 10 * 4), min(256, int(level / 10 * 256))
    return {
        Operation.ROTATE: sign * level / 10 * 30,
        Operation.POSTERIZE: max(1, 4 - posterize),
        Operation.SOLARIZE: 256 - solarize,
        Operation.SOLARIZE_ADD: min(128, int(level / 10 * 110)),
        **dict.fromkeys(ENHANCEMENTS, max(0.1, 1 + sign * level / 10 * 0.9)),
        **dict.fromkeys(SHEARS, sign * level / 10 * 0.3),
        Operation.TRANSLATE_X: sign * level / 10 * 0.45 * width,
        Operation.TRANSLATE_Y: sign * level / 10 * 0.45 * height,
    }


@pytest.mark.parametrize("level", [0.0, 2.3, 9.0, 10.0])
def test_rand_augment_arguments_are_timms(level) -> None:
    for sign in (-1, 1):
        ours = rand_arguments(jnp.float32(level), jnp.float32(sign), SHAPE)
        for operation, expected in published_rand_augment(level, sign).items():
            np.testing.assert_allclose(ours[operation], expected, rtol=1e-5, atol=1e-6, err_msg=operation.name)
        without_argument = {Operation.AUTO_CONTRAST, Operation.EQUALIZE, Operation.INVERT}
        assert set(ours) == set(published_rand_augment(level, sign)) | without_argument


def test_rand_augment_without_magnitude_std_uses_the_magnitude_in_both_directions(draw) -> None:
    steps = draw(RandAugment(magnitude=6, magnitude_std=0), 3000, SHAPE)
    angles = arguments_of(steps, Operation.ROTATE)
    np.testing.assert_allclose(np.abs(angles), 18, rtol=1e-6)
    assert 0.35 < (angles > 0).mean() < 0.65


def test_rand_augment_magnitude_std_spreads_and_clips_the_level(draw) -> None:
    """|angle| is 3 x level; level is normal(6, 0.5), and nearly always at a bound for normal(5, 1000)."""
    levels = np.abs(arguments_of(draw(RandAugment(magnitude=6, magnitude_std=0.5), 12000, SHAPE), Operation.ROTATE)) / 3
    assert abs(levels.mean() - 6) < 0.08
    assert abs(levels.std() - 0.5) < 0.06
    wild = np.abs(arguments_of(draw(RandAugment(magnitude=5, magnitude_std=1000), 3000, SHAPE), Operation.ROTATE)) / 3
    assert np.mean((wild == 0) | (wild == 10)) > 0.95


def test_trivial_augment_draws_the_published_wide_space_uniformly(draw) -> None:
    steps = draw(TrivialAugment(), 14000, SHAPE)
    assert steps.operation.shape == (14000, 1)
    expected = np.zeros(len(Operation))
    expected[list(TRIVIAL_OPERATIONS)] = 1 / 14
    np.testing.assert_allclose(frequencies(steps.operation), expected, atol=0.01)

    angles = arguments_of(steps, Operation.ROTATE)
    bins, counts = np.unique(np.abs(angles).round(3), return_counts=True)
    np.testing.assert_allclose(bins, np.linspace(0, 135, 31), atol=1e-3)
    assert counts.min() > 10  # of about 32 each
    assert 0.4 < (angles[angles != 0] > 0).mean() < 0.6

    for operation, greatest in [*((each, 0.99) for each in SHEARS), *((each, 32) for each in TRANSLATIONS)]:
        arguments = arguments_of(steps, operation)
        np.testing.assert_allclose([arguments.min(), arguments.max()], [-greatest, greatest], rtol=1e-5)
    for operation in ENHANCEMENTS:
        arguments = arguments_of(steps, operation)
        np.testing.assert_allclose([arguments.min(), arguments.max()], [0.01, 1.99], rtol=1e-4)
    assert set(arguments_of(steps, Operation.POSTERIZE)) == set(range(2, 9))
    np.testing.assert_allclose(np.unique(arguments_of(steps, Operation.SOLARIZE)), np.linspace(0, 255, 31), atol=1e-3)


PUBLISHED_CIFAR10_POLICY = """
Invert 0.1 -, Contrast 0.2 6
Rotate 0.7 2, TranslateX 0.3 9
Sharpness 0.8 1, Sharpness 0.9 3
ShearY 0.5 8, TranslateY 0.7 9
AutoContrast 0.5 -, Equalize 0.9 -
ShearY 0.2 7, Posterize 0.3 7
Color 0.4 3, Brightness 0.6 7
Sharpness 0.3 9, Brightness 0.7 9
Equalize 0.6 -, Equalize 0.5 -
Contrast 0.6 7, Sharpness 0.6 5
Color 0.7 7, TranslateX 0.5 8
Equalize 0.3 -, AutoContrast 0.4 -
TranslateY 0.4 3, Sharpness 0.2 6
Brightness 0.9 6, Color 0.2 8
Solarize 0.5 2, Invert 0.0 -
Equalize 0.2 -, AutoContrast 0.6 -
Equalize 0.2 -, Equalize 0.6 -
Color 0.9 9, Equalize 0.6 -
AutoContrast 0.8 -, Solarize 0.2 8
Brightness 0.1 3, Color 0.7 0
Solarize 0.4 5, AutoContrast 0.9 -
TranslateY 0.9 9, TranslateY 0.7 9
AutoContrast 0.9 -, Solarize 0.8 3
Equalize 0.8 -, Invert 0.1 -
TranslateY 0.7 9, AutoContrast 0.9 -
"""
"""torchvision 0.29's list: operation, probability, magnitude bin."""


def test_the_cifar_policy_is_the_published_one() -> None:
    def as_published(step: SubPolicyStep) -> str:
        has_magnitude = step.operation not in (Operation.INVERT, Operation.AUTO_CONTRAST, Operation.EQUALIZE)
        name = step.operation.name.replace("_", " ").title().replace(" ", "")
        return f"{name} {step.probability} {step.magnitude_bin if has_magnitude else '-'}"

    ours = [", ".join(as_published(step) for step in sub_policy) for sub_policy in CIFAR10_POLICY]
    assert ours == PUBLISHED_CIFAR10_POLICY.strip().splitlines()


@pytest.fixture(scope="module")
def cifar_steps(draw) -> Steps:
    return draw(CifarAutoAugment(), 10000, SHAPE)


def test_cifar_auto_augment_draws_each_step_as_often_as_its_sub_policies_say(cifar_steps) -> None:
    assert len(CIFAR10_POLICY) == 25
    for step in range(2):
        expected = np.zeros(len(Operation))
        for sub_policy in CIFAR10_POLICY:
            operation, probability, _ = sub_policy[step]
            expected[operation] += probability / 25
            expected[Operation.IDENTITY] += (1 - probability) / 25
        np.testing.assert_allclose(frequencies(cifar_steps.operation[:, step]), expected, atol=0.02)


def test_cifar_auto_augment_keeps_the_steps_of_a_sub_policy_together(cifar_steps) -> None:
    """Shear y is followed by translate y in one sub-policy (bins 8, 9), by posterize in another (bins 7, 7)."""
    first, second = cifar_steps.operation.T
    sheared = first == Operation.SHEAR_Y
    assert set(second[sheared]) == {Operation.TRANSLATE_Y, Operation.POSTERIZE, Operation.IDENTITY}
    translated = sheared & (second == Operation.TRANSLATE_Y)
    reach = np.abs(cifar_steps.argument[translated])
    np.testing.assert_allclose(reach, np.tile([0.3 * 8 / 9, int(150 / 331 * 24)], (len(reach), 1)), rtol=1e-5)


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        (Operation.ROTATE, [-30 * 2 / 9, 30 * 2 / 9]),
        (Operation.TRANSLATE_X, [-9, -8, 8, 9]),  # bins 8 and 9 of 150 / 331 * 20 pixels, truncated
        (Operation.CONTRAST, [0.3, 0.4, 1.6, 1.7]),
        (Operation.POSTERIZE, [5]),
        (Operation.SOLARIZE, [255 / 9, 255 * 4 / 9, 255 * 6 / 9, 255 * 7 / 9]),
    ],
)
def test_cifar_auto_augment_arguments_are_the_published_magnitudes(operation, arguments, cifar_steps) -> None:
    np.testing.assert_allclose(np.unique(arguments_of(cifar_steps, operation).round(3)), arguments, atol=1e-3)
