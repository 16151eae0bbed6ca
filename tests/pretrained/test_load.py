"""A model comes with the names of its classes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vit_jax
from vit_jax.models.parameters import parameter_shapes
from vit_jax.pretrained.load import load


@pytest.mark.parametrize("names", [("a", "b"), ()])
def test_a_directory_gives_model_parameters_and_names(tmp_path, names):
    model = vit_jax.create_model("vit_digits_patch2_8", embed_dim=8, depth=1, num_heads=1, num_classes=2)
    params = jax.tree.map(lambda p: jnp.ones(p.shape), parameter_shapes(model))
    vit_jax.save_pretrained(tmp_path, model, params, names)
    loaded = load(tmp_path)
    assert loaded.model == model
    assert loaded.class_names == names
    jax.tree.map(np.testing.assert_array_equal, loaded.params, params)
    with pytest.raises(ValueError, match=r"a revision \(main\) is for repositories"):
        load(tmp_path, revision="main")
