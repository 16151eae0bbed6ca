"""The public names of vit_jax, which are imported when they are used."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import vit_jax
from vit_jax.models.vit import VisionTransformer

IMAGES = np.zeros((1, 8, 8, 3), np.float32)


def test_every_public_name_has_one_home_that_has_it():
    assert sorted(name for names in vit_jax.HOMES.values() for name in names) == sorted(vit_jax.__all__)
    for home, names in vit_jax.HOMES.items():
        assert {getattr(vit_jax, name).__module__ for name in names} == {f"vit_jax.{home}"}


def test_another_name_is_an_attribute_error_that_says_which():
    assert not hasattr(vit_jax, "create_modell")
    with pytest.raises(AttributeError, match=r"'vit_jax' has no attribute 'create_modell' \(did you mean create_model"):
        _ = vit_jax.create_modell  # pyright: ignore[reportAttributeAccessIssue]


def test_completion_lists_public_names():
    """And none of what the module itself needs."""
    assert dir(vit_jax) == vit_jax.__all__


@pytest.mark.parametrize("model", ["vit_tiny_patch4_32", (VisionTransformer(), {}), {"head": {}}, VisionTransformer])
@pytest.mark.parametrize(
    "use",
    [
        lambda model: vit_jax.features(model, {}, IMAGES),
        lambda model: vit_jax.attention_maps(model, {}, IMAGES),
        lambda model: vit_jax.attention_rollout(model, {}, IMAGES),
        lambda model: vit_jax.attention_to_image(model, []),
        lambda model: vit_jax.attention_extent(model, 0),
        vit_jax.cost,
        vit_jax.preprocessing,
        lambda model: vit_jax.seen_part(model, IMAGES),
        lambda model: vit_jax.attention_picture(model, {}, IMAGES),
        lambda model: vit_jax.adapt(model, {}, num_classes=2),
        lambda model: vit_jax.save_pretrained("not/made", model, {}),
        lambda model: vit_jax.load_pretrained("not/read", model=model),
        lambda model: vit_jax.init_params(model, jax.random.key(0)),
    ],
)
def test_what_is_no_network_is_answered_in_a_sentence(use: Any, model: Any):
    """A name, the pair that load_pretrained gives, parameters in its place."""
    with pytest.raises(ValueError, match=f"^a network is needed, .*; not a {type(model).__name__}$"):
        use(model)
    assert not Path("not").exists()


@pytest.mark.parametrize("use", [vit_jax.features, vit_jax.attention_maps, vit_jax.attention_rollout])
def test_images_in_a_list_are_answered_in_a_sentence(use: Any):
    with pytest.raises(ValueError, match=r"images must be one array \[batch, .*; not a list$"):
        use(VisionTransformer(), {}, list(IMAGES))
