"""Cross-entropy with label smoothing, against its definition in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from vit_jax.models.network import Network
from vit_jax.objectives.classification import Classification


class Table(Network):
    """A "network" whose logits are its images."""

    def __call__(self, images, train=False):
        return images


LOGITS = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
LABELS = np.random.default_rng(1).dirichlet(np.ones(4), 6).astype(np.float32)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_its_definition(smoothing):
    logits = LOGITS.astype(np.float64)
    log_probabilities = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    targets = LABELS * (1 - smoothing) + smoothing / 4
    objective = Classification(smoothing)
    loss, (metrics, _) = objective.loss(Table(), {}, jnp.asarray(LOGITS), jnp.asarray(LABELS), jax.random.key(0))
    assert float(loss) == pytest.approx(float(-(targets * log_probabilities).sum(-1).mean()), abs=1e-6)
    assert float(metrics["accuracy"]) == pytest.approx(np.mean(LOGITS.argmax(-1) == LABELS.argmax(-1)))


def test_the_network_is_in_training_with_dropout():
    class Noisy(Network):
        @nn.compact
        def __call__(self, images, train=False):
            return nn.Dropout(0.5)(images, deterministic=not train)

    losses = {
        float(Classification().loss(Noisy(), {}, jnp.asarray(LOGITS), jnp.asarray(LABELS), jax.random.key(seed))[0])
        for seed in range(3)
    }
    assert len(losses) == 3


@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
def test_an_impossible_smoothing_is_refused(smoothing):
    with pytest.raises(ValueError, match="label_smoothing must be in"):
        Classification(smoothing)
