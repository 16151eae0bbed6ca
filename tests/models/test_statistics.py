"""What a network measures goes back among its parameters."""

from vit_jax.models.statistics import with_statistics


def test_with_statistics_replaces_them_alone():
    params = {"a": {"norm": {"scale": 1, "running_mean": 2}, "conv": {"kernel": 3}}, "head": {"bias": 4}}
    merged = with_statistics(params, {"a": {"norm": {"running_mean": 5}}})
    assert merged == {"a": {"norm": {"scale": 1, "running_mean": 5}, "conv": {"kernel": 3}}, "head": {"bias": 4}}
    assert params["a"]["norm"]["running_mean"] == 2
    assert with_statistics(params, {}) == params
