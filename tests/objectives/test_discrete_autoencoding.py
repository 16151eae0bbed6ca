"""The loss of a discrete autoencoder and its schedule against their formulas in float64; what it refuses."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.cases import random_params
from tests.objectives.cases import examples
from vit_jax.models.discrete_vae import DiscreteVae
from vit_jax.models.mae import MaskedAutoencoder
from vit_jax.objectives.discrete_autoencoding import DiscreteAutoencoding, divergence_from_uniform, tokens_used
from vit_jax.objectives.objective import Given, Loss

MODEL = DiscreteVae(image_size=8, patch_size=4, vocab_size=7, code_dim=5, width=6, depth=1, in_channels=1)
NOW = dict(temperature=jnp.float32(0.7))


def given(key: int = 0) -> Given:
    return Given(jax.random.key(key), None, NOW)


def batch(seed: int = 0) -> Any:
    return examples(np.random.default_rng(0).uniform(0, 255, (3, 8, 8, 1)).astype(np.float32), seed=seed)


def test_the_divergence_and_its_gradient_are_the_formula_s():
    logits = np.random.default_rng(0).normal(0, 2, (3, 4, 9))
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    value, gradient = jax.value_and_grad(divergence_from_uniform)(jnp.asarray(logits))
    divergences = (p * np.log(p * 9)).sum(-1, keepdims=True)
    assert float(value) == pytest.approx(divergences.mean(), rel=1e-5)
    np.testing.assert_allclose(gradient, p * (np.log(p * 9) - divergences) / 12, atol=1e-7)
    assert float(divergence_from_uniform(jnp.zeros((2, 9)))) == pytest.approx(0, abs=1e-6)


def test_tokens_in_use():
    assert float(tokens_used(jnp.full(8, 1 / 8))) == pytest.approx(8, rel=1e-5)
    assert float(tokens_used(jnp.eye(8)[3])) == pytest.approx(1)


def test_what_the_objective_makes_of_a_batch():
    """Error and divergence of the network's own reconstruction with the noise of each example's key."""
    params, seen = random_params(MODEL, 0), batch()
    noise = jnp.stack([jax.random.gumbel(key, (4, 7)) for key in seen.keys])
    images = (seen.pixels / 255 - 0.5) / 0.5
    made: Any = MODEL.apply({"params": params}, images, True, noise, 0.7)
    error = np.square(np.asarray(made.prediction, np.float64) - images).mean()
    logits = np.asarray(made.logits, np.float64)
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    divergence = (p * np.log(p * 7)).sum(-1).mean()

    loss = DiscreteAutoencoding(divergence_weight=0.3).loss(MODEL, params, seen, given())
    assert float(loss.value) == pytest.approx(error + 0.3 * divergence, rel=1e-5)
    assert float(loss.metrics["squared_error"]) == pytest.approx(error, rel=1e-5)
    assert float(loss.metrics["divergence"]) == pytest.approx(divergence, rel=1e-5)
    usage = np.asarray(params["usage"], np.float64)
    np.testing.assert_allclose(loss.statistics["usage"], 0.99 * usage + 0.01 * p.mean((0, 1)), rtol=1e-5)
    np.testing.assert_allclose(loss.metrics["tokens_used"], tokens_used(params["usage"]))


def test_tokens_depend_on_the_examples_keys_alone():
    params = random_params(MODEL, 0)

    def loss(seed: int, key: int) -> Loss:
        return DiscreteAutoencoding().loss(MODEL, params, batch(seed), given(key))

    assert len({float(loss(seed, key).value) for seed in (0, 1) for key in (0, 1)}) == 2


def test_the_temperature_falls_along_a_cosine():
    objective = DiscreteAutoencoding(temperature=2.0, final_temperature=0.5, annealing="10 steps")
    temperature = objective.schedules(100, lambda duration: int(duration.split()[0]))["temperature"]
    for step in (0, 3, 5, 10, 50):
        expected = 0.5 + 1.5 * (1 + math.cos(math.pi * min(step, 10) / 10)) / 2
        assert float(jnp.asarray(temperature(step))) == pytest.approx(expected, rel=1e-5)
    at_once = DiscreteAutoencoding(annealing="0 steps").schedules(100, lambda duration: 0)["temperature"]
    assert float(jnp.asarray(at_once(0))) == 0.0625
    with pytest.raises(
        ValueError, match=r"objective.annealing \(10 steps: 10 steps\) is longer than the run of 9 steps"
    ):
        objective.schedules(9, lambda duration: int(duration.split()[0]))


@pytest.mark.parametrize("fields", [dict(temperature=0.0), dict(final_temperature=-1.0), dict(divergence_weight=-0.1)])
def test_values_that_cannot_be_are_refused(fields: dict[str, Any]):
    with pytest.raises(ValueError, match="must be positive and divergence_weight not negative"):
        DiscreteAutoencoding(**fields)


def test_another_network_is_refused():
    with pytest.raises(ValueError, match=r"needs a DiscreteVae .* not a MaskedAutoencoder"):
        DiscreteAutoencoding().check(MaskedAutoencoder(image_size=32))
