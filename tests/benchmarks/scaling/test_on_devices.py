"""Every way of spreading a step over eight simulated devices is measured, and compared with one device."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from benchmarks.scaling.collectives import exchange
from benchmarks.scaling.on_devices import NO_EXCHANGE, ONE, expected_bytes, measured, trainings
from benchmarks.scaling.tables import EQUAL, of_devices
from vit_jax.models.network import Network
from vit_jax.training.parallel import OneProgram


class TwoLayers(Network):
    """A network whose steps compile quickly."""

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
        hidden = nn.Dense(16)(images.reshape(len(images), -1))
        return nn.Dense(self.num_classes)(jnp.tanh(hidden))


MODEL = TwoLayers(num_classes=10, image_size=8, in_channels=1)
METRICS = 8
"""Bytes of the loss and the accuracy, which are averaged with the gradient."""


@pytest.fixture(scope="module")
def results():
    return measured(MODEL, batch=16, rounds=1)


def test_the_same_training_every_way(results):
    assert [row["way"] for row in results] == [ONE, "jit", "jit, fsdp=8", "pmap", NO_EXCHANGE]
    for row in results[1:-1]:
        assert max(row["loss_differs_by"], row["parameters_differ_by"]) < EQUAL
        assert row["parameters_moved_by"] > 1000 * EQUAL


def test_data_parallel_exchanges_the_gradient_and_nothing_else(results):
    for row in results:
        if row["way"] in ("jit", "pmap"):
            assert set(row["collectives"]) == {"all-reduce"}
            assert row["expected_bytes"] == 4 * sum(leaf.size for leaf in jax.tree.leaves(params()))
            assert row["collective_bytes"] == row["expected_bytes"] + METRICS


def test_without_exchange_there_is_none():
    assert exchange(trainings(MODEL, 16)[NO_EXCHANGE].text()).bytes == 0


def test_ratios_are_taken_round_by_round(results):
    assert results[0]["times_one"] == {"median": 1, "min": 1, "max": 1}
    assert results[1]["ideal_times_one"] == 1


def test_fsdp_gathers_what_it_shards_and_takes_its_share_of_the_gradient():
    tree = {"sharded": np.zeros((16, 3), np.float32), "whole": np.zeros(5, np.float32)}
    assert expected_bytes(OneProgram(jax.devices(), 8), tree) == 4 * (48 + 48 // 8 + 5)
    assert expected_bytes(OneProgram(jax.devices()[:1], 1), tree) == 0


def test_the_table_has_a_row_of_every_way(results):
    lines = of_devices(results).splitlines()
    assert len(lines) == 2 + len(results)
    assert len({line.count("|") for line in lines}) == 1


def params():
    return trainings(MODEL, 16)[ONE].state.params
