"""Cross-entropy with label smoothing, against its definition in float64."""

import jax
import numpy as np
import pytest
from flax import linen as nn

from tests.objectives.cases import AS_IT_IS, examples
from vit_jax.models.network import Network
from vit_jax.objectives.classification import Classification
from vit_jax.objectives.objective import Given


class Table(Network):
    """A "network" whose logits are the first pixels of its images [B, 1, 4, 1]."""

    def __call__(self, images, train=False):
        return images[:, 0, :, 0]


LOGITS = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
LABELS = np.random.default_rng(1).dirichlet(np.ones(4), 6).astype(np.float32)
GIVEN = Given(jax.random.key(0))
BATCH = examples(LOGITS[:, None, :, None], LABELS)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_its_definition(smoothing):
    logits = LOGITS.astype(np.float64)
    log_probabilities = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    targets = LABELS * (1 - smoothing) + smoothing / 4
    objective = Classification(smoothing)
    loss, metrics, _ = objective.loss(Table(image_size=(1, 4), preprocessing=AS_IT_IS), {}, BATCH, GIVEN)
    assert float(loss) == pytest.approx(float(-(targets * log_probabilities).sum(-1).mean()), abs=1e-6)
    assert float(metrics["accuracy"]) == pytest.approx(np.mean(LOGITS.argmax(-1) == LABELS.argmax(-1)))


def test_binary_is_a_sigmoid_of_each_class():
    """Mixed labels say yes to each class that has a share: DeiT-III's targets above 0."""
    labels = np.where(LABELS > 0.3, LABELS, 0).astype(np.float32)
    objective = Classification(binary=True)
    loss = objective.loss(Table(image_size=(1, 4), preprocessing=AS_IT_IS), {}, BATCH._replace(labels=labels), GIVEN)
    yes, sigmoid = labels > 0, 1 / (1 + np.exp(-LOGITS.astype(np.float64)))
    expected = -np.where(yes, np.log(sigmoid), np.log1p(-sigmoid)).mean()
    assert float(loss.value) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("binary", [False, True])
def test_balanced_weighs_each_example_by_its_classes(binary):
    model, weights = Table(image_size=(1, 4), preprocessing=AS_IT_IS), np.array([0.5, 1, 2, 4], np.float32)
    objective = Classification(0.0 if binary else 0.1, binary, balanced=True)
    plain = Classification(0.0 if binary else 0.1, binary)
    alone = [plain.loss(model, {}, jax.tree.map(lambda x, i=i: x[i : i + 1], BATCH), GIVEN).value for i in range(6)]
    loss = objective.loss(model, {}, BATCH, GIVEN._replace(class_weights=weights)).value
    assert float(loss) == pytest.approx(np.mean(np.array(alone) * (LABELS @ weights)), rel=1e-6)


def test_smoothing_of_binary_labels_is_refused():
    with pytest.raises(ValueError, match="label_smoothing is for classes that share one label"):
        Classification(label_smoothing=0.1, binary=True)


def test_the_network_is_in_training_with_dropout():
    class Noisy(Network):
        @nn.compact
        def __call__(self, images, train=False):
            return nn.Dropout(0.5)(images[:, 0, :, 0], deterministic=not train)

    model = Noisy(image_size=(1, 4), preprocessing=AS_IT_IS)
    losses = {float(Classification().loss(model, {}, BATCH, Given(jax.random.key(seed))).value) for seed in range(3)}
    assert len(losses) == 3


@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
def test_an_impossible_smoothing_is_refused(smoothing):
    with pytest.raises(ValueError, match="label_smoothing must be in"):
        Classification(smoothing)
