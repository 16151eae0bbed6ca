"""What every network's fields must be, whatever its kind."""

import json
import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from PIL import Image

import vit_jax
from vit_jax.models.network import check_images
from vit_jax.models.parameters import parameter_shapes
from vit_jax.models.registry import create_model

KINDS = ["vit_tiny_patch4_32", "swin_cifar_patch2_window4_32", "resnet9_32", "mae_cifar_patch4_32"]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("size", ["64", (64, 64, 3), (64,), (64, "64"), 64.0, None])
def test_an_image_size_that_is_none_is_refused_by_its_field(name: str, size: Any):
    """A text of two digits or the shape of an image would else be taken for a pair."""
    with pytest.raises(
        ValueError, match=r"image_size must be a whole number or a pair of them, \(height, width\), not "
    ):
        create_model(name, image_size=size)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("size", [64, (64, 64), [64, 64], np.int64(64), (np.int64(64), 64)])
def test_an_image_size_is_a_number_or_a_pair(name: str, size: Any):
    model = create_model(name, image_size=size)
    assert model.input_shape == (64, 64, 3)
    hash(model)  # it is a static argument of jitted functions
    json.dumps(model.image_size)  # as it is saved


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("dtype", [jnp.int32, "uint8", bool, "bf16", None, "float64", float, object()])
def test_a_dtype_that_networks_are_not_computed_in_is_refused(name: str, dtype: Any):
    with pytest.raises(ValueError, match=r"dtype must be of floating point, such as jnp\.bfloat16"):
        create_model(name, dtype=dtype)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("dtype", ["bfloat16", jnp.dtype("bfloat16")])
def test_every_form_of_a_dtype_makes_the_same_network(name: str, dtype: Any):
    model = create_model(name, dtype=jnp.bfloat16)
    assert create_model(name, dtype=dtype) == model
    assert hash(create_model(name, dtype=dtype)) == hash(model)  # else it would be compiled anew


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("preprocessing", [None, {"mean": (0.5,)}])
def test_other_settings_than_preprocessing_are_refused(name: str, preprocessing: Any):
    with pytest.raises(ValueError, match=r"preprocessing must be a vit_jax\.Preprocessing, not "):
        create_model(name, preprocessing=preprocessing)


@pytest.mark.parametrize("name", [name for name in KINDS if "resnet" not in name])
@pytest.mark.parametrize("norm_eps", [0, -1e-6, math.nan])
def test_an_epsilon_that_is_not_positive_is_refused(name: str, norm_eps: float):
    with pytest.raises(ValueError, match=f"norm_eps must be above 0, not {norm_eps}"):
        create_model(name, norm_eps=norm_eps)


@pytest.mark.parametrize(
    ("name", "fields"),
    [*((name, {}) for name in KINDS), ("vit_tiny_patch4_32", {"remat": True})],
    ids=[*KINDS, "remat"],
)
def test_no_class_is_made_while_a_network_is_traced(name: str, fields: dict[str, Any], monkeypatch):
    """Flax takes fields from the bases of a class while it makes it: networks of other threads fail meanwhile."""
    made = []
    make = nn.Module.__init_subclass__.__func__

    def record(cls: type[nn.Module], *args: Any, **kwargs: Any) -> None:
        made.append(cls.__name__)
        make(cls, *args, **kwargs)

    monkeypatch.setattr(nn.Module, "__init_subclass__", classmethod(record))
    parameter_shapes(create_model(name, **fields))
    assert made == []


@pytest.mark.parametrize("name", [*KINDS, "cnn_small_32", "dino_pretraining_vit_cifar_patch4_32"])
def test_flax_tabulates_a_network(name: str):
    """With its FLOPs, for which each method is called alone."""
    model = create_model(name)
    images = np.zeros((1, *model.input_shape), np.float32)
    table = model.tabulate(jax.random.key(0), images, compute_flops=True, console_kwargs={"width": 200})
    assert type(model).__name__ in table


@pytest.mark.parametrize(
    ("shape", "advice"),
    [
        ((32, 48, 3), r"One image needs a batch: image\[None\]"),
        ((2, 3, 32, 48), r"Channels come last: images\.transpose\(0, 2, 3, 1\)"),
        ((2, 32, 48, 1), r"The model has in_channels=3: set another .* or by vit_jax\.adapt"),
        ((2, 48, 32, 3), r"Another image_size needs other parameters: .* or by vit_jax\.adapt"),
    ],
)
def test_images_of_another_shape_are_answered_with_what_to_do(shape: tuple[int, ...], advice: str):
    with pytest.raises(ValueError, match=rf"takes images \[batch, 32, 48, 3\]; got .*\. {advice}"):
        check_images(jnp.zeros(shape), (32, 48, 3))


@pytest.mark.parametrize("images", [[np.zeros((32, 48, 3), np.float32)], Image.new("RGB", (48, 32))])
def test_what_is_no_array_is_no_images(images: Any):
    with pytest.raises(ValueError, match=f"images must be one array .*; not a {type(images).__name__}"):
        check_images(images, (32, 48, 3))


TINY = create_model("vit_digits_patch2_8", depth=1, embed_dim=8, num_heads=2)
BATCH = np.zeros((2, *TINY.input_shape), np.float32)
DIVIDED, WHOLE = PartitionSpec("data"), PartitionSpec()


def on_mesh(axis_type: AxisType, spec: PartitionSpec) -> jax.Array:
    """The batch on two devices."""
    return jax.device_put(BATCH, NamedSharding(jax.make_mesh((2,), ("data",), axis_types=(axis_type,)), spec))


def logits(images: jax.Array) -> Any:
    """Of parameters that are zeros."""
    params = jax.tree.map(lambda x: jnp.zeros(x.shape), parameter_shapes(TINY))
    return TINY.apply({"params": params}, images)


@pytest.mark.parametrize("use", [logits, lambda images: vit_jax.features(TINY, {}, images)])
def test_images_divided_over_explicit_axes_are_answered_with_which_mesh_to_make(use: Any):
    """JAX's own answer is that a reshape is not supported."""
    with pytest.raises(ValueError, match=r"mesh with explicit axes.*axis_types=\(jax\.sharding\.AxisType\.Auto,\)"):
        jax.eval_shape(use, on_mesh(AxisType.Explicit, DIVIDED))


@pytest.mark.parametrize(
    "make",
    [
        lambda: BATCH,
        partial(on_mesh, AxisType.Auto, DIVIDED),
        partial(on_mesh, AxisType.Auto, WHOLE),
        partial(on_mesh, AxisType.Explicit, WHOLE),
    ],
)
@pytest.mark.parametrize("use", [logits, jax.jit(logits), lambda images: jax.vmap(logits)(images[None])])
def test_other_images_on_a_mesh_are_taken(use: Any, make: Any):
    assert jax.eval_shape(use, make()).shape[-1] == 10


def test_each_device_takes_its_part_of_images():
    of_parts = jax.shard_map(logits, mesh=jax.make_mesh((2,), ("data",)), in_specs=DIVIDED, out_specs=DIVIDED)
    assert jax.eval_shape(of_parts, on_mesh(AxisType.Explicit, DIVIDED)).shape == (2, 10)
    assert jax.eval_shape(jax.pmap(logits), BATCH[:, None]).shape == (2, 1, 10)
