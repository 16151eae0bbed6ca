"""How BEiT's pre-training network scores and refuses: what numerics against Hugging Face cannot see."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.cases import SMALL, random_images, random_params
from tests.models.huggingface_cases import outputs
from vit_jax.models.beit import BeitPretraining

SMALL_BEIT = {**SMALL, "num_classes": 0, "vocab_size": 11}


def make(**fields: Any) -> tuple[BeitPretraining, dict[str, Any], np.ndarray, np.ndarray]:
    """A small model of a wide image with random parameters, images and masks."""
    model = BeitPretraining(**{**SMALL_BEIT, "image_size": (8, 16), **fields})
    mask = np.random.RandomState(0).uniform(size=(2, 8)) < 0.4
    return model, random_params(model, seed=0), random_images(model, seed=0), mask


def test_every_patch_has_its_tokens_scored_by_the_head():
    """Of the encoder's normalised tokens, without the class token."""
    model, params, images, mask = make()
    encoder, head = model.make_encoder(), params["head"]
    call = jax.jit(partial(encoder.apply, {"params": params["encoder"]}, method="features"))
    tokens = np.asarray(call(images, mask=mask).tokens)
    expected = tokens[:, 1:] @ head["kernel"] + head["bias"]
    scores = outputs(model, params, images, {"mask": mask})
    assert scores.shape == (2, 8, 11)
    np.testing.assert_allclose(scores, expected, atol=1e-4)


def test_bfloat16_scores_are_float32_and_near():
    model, params, images, mask = make()
    half = outputs(model.clone(dtype=jnp.bfloat16), params, images, {"mask": mask})
    assert half.dtype == jnp.float32
    assert 1e-4 < np.abs(half - outputs(model, params, images, {"mask": mask})).max() < 0.2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(num_classes=10), "num_classes must be 0, not 10: a BeitPretraining has no classes"),
        (dict(vocab_size=0), "vocab_size must be positive, not 0"),
        (dict(num_heads=5), "num_heads must divide embed_dim"),
        (dict(image_size=18), "image_size 18x18"),
        (dict(drop_path_rate=1.0), "drop_path_rate"),
    ],
)
def test_fields_that_cannot_work_are_refused_when_built(fields: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        BeitPretraining(**{**SMALL_BEIT, **fields})
