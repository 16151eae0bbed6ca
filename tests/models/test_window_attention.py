"""Position biases stand where the published index puts them."""

from typing import Any

import jax
import numpy as np

from vit_jax.models.window_attention import ContinuousPositionBias, RelativePositionBias
from vit_jax.models.windows import log_spaced_offsets, relative_position_index

WINDOW = (2, 3)


def test_a_bias_of_the_table_stands_at_its_query_and_key():
    table = np.random.default_rng(0).normal(size=(3 * 5, 2)).astype(np.float32)
    bias: Any = RelativePositionBias(WINDOW, num_heads=2).apply({"params": {"table": table}})
    index = relative_position_index(WINDOW)
    for head in range(2):
        for query in range(6):
            for key in range(6):
                assert bias[head, query, key] == table[index[query, key], head]


def test_a_continuous_bias_is_16_sigmoid_of_the_mlp_of_its_offset():
    module = ContinuousPositionBias(WINDOW, pretrained_window=0, num_heads=2)
    params = jax.jit(module.init)(jax.random.key(0))["params"]
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda p: (p + 0.1 * rng.normal(size=p.shape)).astype(np.float32), params)
    bias: Any = module.apply({"params": params})
    hidden = np.maximum(log_spaced_offsets(WINDOW, 0) @ params["fc1"]["kernel"] + params["fc1"]["bias"], 0)
    table = 16 / (1 + np.exp(-(hidden @ params["fc2"]["kernel"])))  # [rows of the table, heads]
    expected = table[relative_position_index(WINDOW)]  # [M, M, heads]
    np.testing.assert_allclose(bias, np.moveaxis(expected, -1, 0), atol=1e-4)
