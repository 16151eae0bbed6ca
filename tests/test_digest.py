"""A digest tells parameters apart by all they have: values, names, shapes, precision."""

import numpy as np

from vit_jax.digest import digest_of

PARAMS = {"head": {"bias": np.zeros(4, np.float32), "kernel": np.ones((2, 4), np.float32)}, "token": np.ones(3)}


def test_equal_parameters_have_one_digest_whatever_their_order():
    head = dict(reversed(PARAMS["head"].items()))
    assert digest_of({"token": PARAMS["token"].copy(), "head": head}) == digest_of(PARAMS)


def test_any_other_value_name_shape_or_precision_is_another_one():
    bias, kernel = PARAMS["head"].values()
    others = [
        {**PARAMS, "head": {"bias": np.eye(1, 4, dtype=np.float32)[0], "kernel": kernel}},
        {**PARAMS, "head": {"bias": bias, "weight": kernel}},
        {**PARAMS, "head": {"bias": bias, "kernel": kernel.reshape(4, 2)}},
        {**PARAMS, "head": {"bias": bias.astype(np.float16), "kernel": kernel}},
        {"head": PARAMS["head"]},
    ]
    digests = {digest_of(params) for params in (PARAMS, *others)} | {digest_of(PARAMS, beside="outputs")}
    assert len(digests) == 7
