"""Protects the table of others' results: it stands beside the sets it is about and beside no other."""

import pytest

from vit_jax.inspection.published import CIFAR10, published_results


def test_cifar10_is_known_by_its_classes_whatever_it_is_called():
    published = published_results(tuple(reversed(CIFAR10)))
    assert published is not None
    assert published.images == "CIFAR-10"
    results = published.results
    assert {("ViT-H/14", "99.50%"), ("ViT-B/32", "97.77%"), ("CCT-7/3x1", "98.00%")} <= {
        (result.result, result.accuracy) for result in results
    }
    assert sum(result.pretrained for result in results) == 14
    assert all(result.source and result.notes for result in results)


@pytest.mark.parametrize("names", [("cat", "dog"), ("Cats", "Dogs"), ("dogs", "cats")])
def test_cats_and_dogs_are_known_in_any_spelling(names):
    published = published_results(names)
    assert published is not None
    assert [result.accuracy for result in published.results] == ["about 75%", "69%"]


@pytest.mark.parametrize("names", [("0", "1"), ("cat", "dog", "frog"), ("cat",)])
def test_other_sets_have_none(names):
    assert published_results(names) is None
