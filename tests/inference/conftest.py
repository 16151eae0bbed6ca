"""A small classifier with random weights, saved as a model."""

import jax
import numpy as np
import pytest

import vit_jax
from vit_jax.models.parameters import parameter_shapes
from vit_jax.pretrained.load import Pretrained

NAMES = ("ant", "bee", "cat", "dog", "elk", "fox", "gnu")


def random_params(model, seed=0):
    """Parameters of a module, every one random: scales and variances positive."""
    random = np.random.default_rng(seed)
    shapes = parameter_shapes(model)
    return jax.tree.map(lambda p: 0.5 * np.abs(random.normal(size=p.shape)).astype(np.float32), shapes)


@pytest.fixture(scope="session")
def classifier():
    """Seven classes of 8 x 8 colour images, by name; takes 0.8 of an image's shorter side."""
    settings = vit_jax.Preprocessing((0.4, 0.5, 0.6), (0.2, 0.3, 0.1), 0.8, "bilinear")
    fields = dict(in_channels=3, embed_dim=16, depth=1, num_heads=2, num_classes=7, preprocessing=settings)
    model = vit_jax.create_model("vit_digits_patch2_8", **fields)
    params = random_params(model)
    params["head"]["kernel"] = np.random.default_rng(1).normal(size=(16, 7)).astype(np.float32)
    return Pretrained(model, params, NAMES)


@pytest.fixture
def diverged(classifier):
    """The same network, with no number among its parameters."""
    return Pretrained(classifier.model, jax.tree.map(lambda p: np.full_like(p, np.nan), classifier.params), NAMES)


@pytest.fixture
def save(tmp_path):
    """Saves a model, by default under its own names; returns where."""

    def save(pretrained, names=None):
        names = pretrained.class_names if names is None else names
        vit_jax.save_pretrained(tmp_path / "model", pretrained.model, pretrained.params, names)
        return str(tmp_path / "model")

    return save
