"""benchmarks.throughput.epoch: a tiny epoch with the project's step."""

from dataclasses import replace

import pytest

from benchmarks.throughput.epoch import measured
from configs.swin_cifar10 import get_config
from vit_jax.training.config import ModelConfig


@pytest.mark.slow
def test_an_epoch_is_trained_and_evaluated():
    recipe = get_config()
    model = ModelConfig("vit_cifar_patch4_32", dict(depth=1, embed_dim=16, num_heads=2))
    config = replace(recipe, model=model, batch_size=16, steps_per_dispatch=2, dtype="float32")
    entry = measured(config, "cpu", images=40, test_images=24, rounds=1)
    assert (entry["images"], entry["test_images"]) == (40, 24)
    assert entry["steps"] == 4  # 2.5 batches, in whole dispatches
    assert entry["seconds_of_an_epoch"]["median"] < entry["seconds_of_the_first_epoch"]
    assert entry["seconds_of_training"]["median"] < entry["seconds_of_an_epoch"]["median"]
